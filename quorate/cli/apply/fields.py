"""Fields of a file into a message: what is named is set, everything else stays as it is.

Names and values are those of the REST API. Beside them, values of an enum may be written short
(`spread` for `PLACEMENT_STRATEGY_SPREAD`), and a duration as a number of seconds. None clears a
field. Errors name the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from quorate.runtime.errors import invalid

_DURATION: Final = "google.protobuf.Duration"
_WELL_KNOWN: Final = "google.protobuf."


def set_fields(message: Any, given: Mapping[str, Any], place: str) -> None:
    """Set the fields of `message` that `given` names. Raises QuorateError, with `place`."""
    if not isinstance(given, Mapping):
        raise invalid(place, f"must be a table of fields, not {given!r:.60}")
    for key, value in given.items():
        field = _field(message.DESCRIPTOR, key)
        where = f"{place}.{key}"
        if field is None:
            known = ", ".join(sorted(message.DESCRIPTOR.fields_by_name))
            raise invalid(where, f"does not exist; there are {known}")
        if value is None:
            message.ClearField(field.name)
        elif _is_plain_message(field) and isinstance(value, Mapping):
            # Two fields of one `oneof` exclude each other: setting one clears the other.
            part = getattr(message, field.name)
            part.SetInParent()
            set_fields(part, value, where)
        else:
            message.ClearField(field.name)
            try:
                json_format.ParseDict({field.name: _readable(field, value)}, message)
            except json_format.ParseError as error:
                raise invalid(where, f"{value!r:.60}: {_reason(error)}") from None


def _field(descriptor: Descriptor, key: str) -> FieldDescriptor | None:
    found = descriptor.fields_by_name.get(key) or descriptor.fields_by_camelcase_name.get(key)
    return found


def _is_plain_message(field: FieldDescriptor) -> bool:
    """A message of this API that occurs once: its fields are set one by one."""
    kind = field.message_type
    return kind is not None and not field.is_repeated and not kind.full_name.startswith(_WELL_KNOWN)


def _readable(field: FieldDescriptor, value: Any) -> Any:
    """`value` as the JSON of protobuf has it, in lists and tables too."""
    kind = field.message_type
    if field.is_repeated and kind is not None and kind.GetOptions().map_entry:
        item = kind.fields_by_name["value"]
        if isinstance(value, Mapping):
            return {key: _one(item, each) for key, each in value.items()}
        return value
    if field.is_repeated and isinstance(value, list):
        return [_one(field, each) for each in value]
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None and isinstance(value, str):
        names = [one.name for one in field.enum_type.values]
        start = names[0].removesuffix("UNSPECIFIED")
        short = value.upper().replace("-", "_")
        return short if short in names else f"{start}{short}"
    kind = field.message_type
    if kind is None:
        return value
    if kind.full_name == _DURATION and isinstance(value, int | float):
        return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
    if not kind.full_name.startswith(_WELL_KNOWN) and isinstance(value, Mapping):
        return {
            key: each if (part := _field(kind, key)) is None else _readable(part, each)
            for key, each in value.items()
        }
    return value


def _reason(error: json_format.ParseError) -> str:
    """The last sentence of what the library says: those before it repeat the path."""
    return str(error).rpartition(": ")[2].rstrip(".")


def flat(message: Any) -> dict[str, Any]:
    """The fields that are set, by their paths; maps and lists as a whole."""
    document = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return dict(_flat(message.DESCRIPTOR, document, ""))


def _flat(descriptor: Descriptor | None, document: Mapping[str, Any], start: str) -> Any:
    assert descriptor is not None
    for key, value in document.items():
        field = descriptor.fields_by_name[key]
        if _is_plain_message(field):
            nested = list(_flat(field.message_type, value, f"{start}{key}."))
            yield from nested or [(f"{start}{key}", {})]
        else:
            yield f"{start}{key}", value
