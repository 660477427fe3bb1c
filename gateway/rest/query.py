"""A query string into the fields of a message: nothing in it is silently ignored.

Names are camelCase or as in the proto file, nested ones dotted (`queue.retention.count`). A
repeated field is given once for each value. Messages with a string form (times, durations, field
masks) are given as that; other messages, by their fields. Maps and repeated messages have no form
in a query. Its length is bounded by the listener, which bounds the head of a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.http.jsonread import SPECIAL, UNKNOWN_FIELD, is_map
from gateway.http.scalars import BadValue, reader_of, shown
from gateway.rest.operations import Operation
from quorate.runtime.errors import invalid

MALFORMED = "MALFORMED_QUERY"


def pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a raw query string. Raises QuorateError."""
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            yield _text(name), _text(value)


def _text(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise invalid("query", "a parameter is not UTF-8", reason=MALFORMED) from None


def fill_query(message: Message, operation: Operation, raw: bytes) -> set[str]:
    """Set the query's fields of `message`; the top-level fields that were given.

    Raises QuorateError naming the parameter.
    """
    allowed = {field.name for field in operation.query_fields}
    given: set[str] = set()
    for name, value in pairs(raw):
        path = _proto_path(operation.request, name)
        if path is None or path[0].name not in allowed:
            raise invalid(
                name[:80] or "query",
                f"{operation.method.name} has no such parameter",
                reason=UNKNOWN_FIELD,
            )
        where = ".".join(field.name for field in path)
        if where in given and not path[-1].is_repeated:
            raise invalid(where, "is set twice", reason=MALFORMED)
        _others_of_oneof(where, path[-1], given)
        given.add(where)
        _put(message, path, where, value)
    return {where.partition(".")[0] for where in given}


def _others_of_oneof(where: str, field: FieldDescriptor, given: set[str]) -> None:
    if field.containing_oneof is None:
        return
    parent = where.rpartition(".")[0]
    for other in field.containing_oneof.fields:
        path = f"{parent}.{other.name}" if parent else other.name
        if other is not field and path in given:
            raise invalid(where, f"is set together with {path}; set only one of them")


def _proto_path(descriptor: Descriptor, name: str) -> list[FieldDescriptor] | None:
    """The fields that a parameter's name leads to; None when it leads nowhere."""
    found: list[FieldDescriptor] = []
    kind: Descriptor | None = descriptor
    for part in name.split("."):
        if kind is None or kind.full_name in SPECIAL or (found and found[-1].is_repeated):
            return None
        field = kind.fields_by_name.get(part) or kind.fields_by_camelcase_name.get(part)
        if field is None:
            return None
        found.append(field)
        kind = field.message_type
    last = found[-1]
    if is_map(last) or (
        last.message_type is not None
        and (last.is_repeated or last.message_type.full_name not in SPECIAL)
    ):
        return None
    return found


def query_paths(operation: Operation) -> Iterator[tuple[str, FieldDescriptor]]:
    """Every parameter that an operation takes in its query: JSON name and field."""

    def below(
        prefix: str, field: FieldDescriptor, above: tuple[Descriptor, ...]
    ) -> Iterator[tuple[str, FieldDescriptor]]:
        name = prefix + field.json_name
        kind = field.message_type
        if kind is None or kind.full_name in SPECIAL:
            if kind is None or not field.is_repeated:
                yield name, field
        elif not field.is_repeated and kind not in above:
            for inner in kind.fields:
                yield from below(f"{name}.", inner, (*above, kind))

    for field in operation.query_fields:
        yield from below("", field, ())


def _put(message: Message, path: list[FieldDescriptor], where: str, text: str) -> None:
    target: Any = message
    for field in path[:-1]:
        target = getattr(target, field.name)
    last = path[-1]
    try:
        if last.message_type is not None:
            getattr(target, last.name).CopyFrom(SPECIAL[last.message_type.full_name](text))
        elif last.is_repeated:
            getattr(target, last.name).append(read_text(last, text))
        else:
            setattr(target, last.name, read_text(last, text))
    except BadValue as error:
        raise invalid(where, str(error), reason="WRONG_TYPE") from None


def read_text(field: FieldDescriptor, text: str) -> Any:
    """A scalar's value from a path or a query. Raises BadValue."""
    if field.type == field.TYPE_BOOL:
        if text not in ("true", "false"):
            raise BadValue(f"must be true or false, not {shown(text)}")
        return text == "true"
    return reader_of(field)(text)


def read_path(message: Message, path: str, text: str) -> None:
    """Set the field that a path template binds. Raises QuorateError."""
    target: Any = message
    *parents, name = path.split(".")
    for parent in parents:
        target = getattr(target, parent)
    try:
        setattr(target, name, read_text(target.DESCRIPTOR.fields_by_name[name], text))
    except BadValue as error:
        raise invalid(path, str(error), reason="WRONG_TYPE") from None
