"""Which fields an update means: the mask of a PATCH that names none (google.aip.dev/134).

What the body holds is meant, each field by itself and nothing beside it, as JSON Merge Patch has
it (RFC 7396): `{"spec": {"proxy": {"rateLimit": 2}}}` is `spec.proxy.rate_limit`. `null` clears, a
zero is set, an object without members names nothing; lists and maps are taken over whole. What the
cluster fills in (`quorate.v1.output`) and what the path says is left out: a resource that was read
can be sent back as it came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from quorate.v1 import output_pb2

_MASK: Final = "google.protobuf.FieldMask"


def output_of(field: FieldDescriptor) -> int:
    """Its `quorate.v1.Output`; OUTPUT_UNSPECIFIED for what requests set."""
    option: Any = output_pb2.output
    return cast("int", field.GetOptions().Extensions[option])


def mask_field(request: Descriptor) -> str:
    """The name of a request's field mask; empty when it has none."""
    for field in request.fields:
        kind = field.message_type
        if kind is not None and kind.full_name == _MASK and not field.is_repeated:
            return field.name
    return ""


def fill_mask(
    message: Message, name: str, body: Descriptor, value: Mapping[str, Any], bound: Collection[str]
) -> None:
    """Set the mask of a request that has none to what its body holds.

    Args:
        value: the body, which has been read into `body` without a fault.
        bound: paths below the body that the URL's path binds.
    """
    mask: Any = getattr(message, name)
    if not mask.paths:
        # At most the schema's fields: a body names each once, or twice where one of them is null.
        mask.paths.extend(dict.fromkeys(path for path in _paths(body, value) if path not in bound))


def _paths(kind: Descriptor, value: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, item in value.items():
        field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name[name]
        if output_of(field) != output_pb2.OUTPUT_UNSPECIFIED:
            continue
        path = above + field.name
        if item is not None and _is_nested(field):
            assert field.message_type is not None
            yield from _paths(field.message_type, item, f"{path}.")
        else:
            yield path


def _is_nested(field: FieldDescriptor) -> bool:
    """Whether JSON has it as an object of the message's fields."""
    kind = field.message_type
    return (
        kind is not None
        and not field.is_repeated
        and not kind.full_name.startswith("google.protobuf.")
    )
