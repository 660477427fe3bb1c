"""JSON into a message, strictly: every fault names the field it is about.

Unlike `google.protobuf.json_format` this refuses what the schema refuses (numbers as strings'
values, padding errors in base64, unknown enum numbers), names each field by its path as the
services do (`spec.retry.max_attempts`), and is several times as fast. Field names may be camelCase
or as in the proto file; null leaves a field unset. Well-known types other than Timestamp, Duration
and FieldMask go to `json_format`.

Readers are made once for each message type and kept: there are as many as types in the contract.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from google.protobuf import field_mask_pb2, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.http.scalars import BadValue, read_duration, read_timestamp, reader_of, shown
from quorate.runtime.errors import QuorateError, invalid

MALFORMED: Final = "MALFORMED_JSON"
UNKNOWN_FIELD: Final = "UNKNOWN_FIELD"
# Objects, arrays and members of a body. A byte of JSON may become a hundred of Python objects
# (`{},{},{}`), and reading them takes about a microsecond each.
MOST_VALUES: Final = 500_000
# Digits of an integer: as many as the largest double has.
_MOST_DIGITS: Final = 310
# Characters of a field mask: all fields of any message together have fewer.
_MOST_MASK: Final = 8_192


def load(body: bytes, most: int = MOST_VALUES) -> dict[str, Any]:
    """The JSON object in a body; `{}` when it is empty. Raises QuorateError.

    Time and memory grow with the body's length and no faster.

    Args:
        most: objects, arrays and members.
    """
    if not body:
        return {}
    if _holds_too_many(body, most):
        raise invalid(
            "body",
            f"the body has more than {most} values",
            reason="TOO_MANY_VALUES",
            limit=most,
        )
    try:
        text = body.decode()
        # Only an escape makes half of a surrogate pair: UTF-8 has none.
        decoder = _escaped if b"\\u" in body else _plain
        value = decoder.decode(text)
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise _malformed(f"{error.msg} at {where}") from None
    except BadValue as error:
        raise _malformed(str(error)) from None
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise _malformed(f"it must be an object, not {shown(value)}")
    return value


def _holds_too_many(body: bytes, most: int) -> bool:
    """Whether there are more than `most`, without making any of them."""
    if _marks(body, 0, len(body)) <= most:
        return False
    # Some of the marks may be within strings. Where those end is plain once no quote is escaped.
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks, strings, at = 0, 0, 0
    # A member has two strings at most.
    while marks <= most and strings // 2 <= most:
        begin = body.find(b'"', at)
        if begin < 0:
            return marks + _marks(body, at, len(body)) > most
        marks += _marks(body, at, begin)
        end = body.find(b'"', begin + 1)
        if end < 0:
            return False
        at = end + 1
        strings += 1
    return True


def _marks(text: bytes, start: int, end: int) -> int:
    """How many values JSON holds at most, but for one."""
    return sum(text.count(mark, start, end) for mark in (b",", b"[", b"{"))


def _malformed(why: str) -> QuorateError:
    return invalid("body", f"the body is not valid JSON: {why}", reason=MALFORMED)


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise BadValue(f"it holds a number of more than {_MOST_DIGITS} digits")
    return int(digits)


def _float(text: str) -> float:
    return float(text)


def _no_constants(name: str) -> NoReturn:
    raise BadValue(f'{name} is not JSON; write "{name}"')


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise BadValue(f"{name[:80]!r} is there twice")
            seen.add(name)
    return found


def _names_are_text(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Values are looked at by their readers; names come back in errors."""
    for name, _ in pairs:
        if not name.isascii():
            try:
                name.encode()
            except UnicodeEncodeError:
                why = "holds half of a surrogate pair, which is not text"
                raise BadValue(f"the name {shown(name)} {why}") from None
    return _no_duplicates(pairs)


# Numbers are converted here, not in C: there a whole array of numbers is read without letting
# another thread go on, the event loop's neither, and the conversion of many digits is quadratic.
def _decoder(hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=hook,
        parse_constant=_no_constants,
        parse_int=_integer,
        parse_float=_float,
    )


_plain: Final = _decoder(_no_duplicates)
_escaped: Final = _decoder(_names_are_text)


def fill(message: Message, value: object, path: str = "") -> None:
    """Set the fields of `message` from a JSON object. Raises QuorateError naming the field."""
    special = SPECIAL.get(message.DESCRIPTOR.full_name)
    if special is not None:
        try:
            message.CopyFrom(special(value))
        except BadValue as error:
            raise _wrong(path, str(error)) from None
        return
    if message.DESCRIPTOR.full_name.startswith("google.protobuf."):
        _fill_well_known(message, value, path)
        return
    if not isinstance(value, dict):
        raise _wrong(path or "body", f"must be an object, not {shown(value)}")
    plan = _plan(message.DESCRIPTOR)
    seen: dict[str, str] = {}
    for name, item in value.items():
        field = plan.get(name)
        if field is None:
            raise invalid(
                f"{path}.{name[:80]}" if path else name[:80],
                f"{message.DESCRIPTOR.full_name} has no such field",
                reason=UNKNOWN_FIELD,
            )
        where = f"{path}.{field.name}" if path else field.name
        if item is None:
            continue
        if (other := seen.setdefault(field.alone, name)) != name:
            raise invalid(where, f"is set together with {other}; set only one of them")
        field.put(message, item, where)


def _wrong(path: str, why: str) -> QuorateError:
    return invalid(path, why, reason="WRONG_TYPE")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    alone: str
    """What it shares with fields that may not be set beside it: its oneof, else its own name."""
    put: Callable[[Any, Any, str], None]


@cache
def _plan(descriptor: Descriptor) -> Mapping[str, _Field]:
    plan = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        alone = field.name if oneof is None else f"oneof {oneof.name}"
        plan[field.name] = plan[field.json_name] = _Field(field.name, alone, _putter(field))
    return plan


def is_map(field: FieldDescriptor) -> bool:
    """Whether a repeated field is a map."""
    kind = field.message_type
    return kind is not None and kind.GetOptions().map_entry


def map_fields(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """The key and the value of a map field."""
    assert field.message_type is not None
    return field.message_type.fields_by_number[1], field.message_type.fields_by_number[2]


def _putter(field: FieldDescriptor) -> Callable[[Any, Any, str], None]:
    name = field.name
    if is_map(field):
        return _map_putter(field)
    if field.message_type is not None:
        if field.is_repeated:

            def put_messages(message: Any, value: Any, path: str) -> None:
                target = getattr(message, name)
                for place, item in enumerate(_list(value, path)):
                    fill(target.add(), item, f"{path}[{place}]")

            return put_messages

        def put_message(message: Any, value: Any, path: str) -> None:
            target = getattr(message, name)
            target.SetInParent()
            fill(target, value, path)

        return put_message
    read = reader_of(field)
    if field.is_repeated:

        def put_scalars(message: Any, value: Any, path: str) -> None:
            target = getattr(message, name)
            for place, item in enumerate(_list(value, path)):
                try:
                    target.append(read(item))
                except BadValue as error:
                    raise _wrong(f"{path}[{place}]", str(error)) from None

        return put_scalars

    def put_scalar(message: Any, value: Any, path: str) -> None:
        try:
            setattr(message, name, read(value))
        except BadValue as error:
            raise _wrong(path, str(error)) from None

    return put_scalar


def _list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(path, f"must be an array, not {shown(value)}")
    return value


def _map_putter(field: FieldDescriptor) -> Callable[[Any, Any, str], None]:
    name = field.name
    key_field, value_field = map_fields(field)
    read_key = _bool_key if key_field.type == key_field.TYPE_BOOL else reader_of(key_field)
    read_value = None if value_field.message_type is not None else reader_of(value_field)

    def put(message: Any, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(path, f"must be an object, not {shown(value)}")
        target = getattr(message, name)
        for raw, item in value.items():
            where = f"{path}[{raw[:80]}]"
            try:
                key = read_key(raw)
                if read_value is not None:
                    target[key] = read_value(item)
                    continue
            except BadValue as error:
                raise _wrong(where, str(error)) from None
            fill(target[key], item, where)

    return put


def _bool_key(value: str) -> bool:
    if value not in ("true", "false"):
        raise BadValue(f"must be true or false, not {shown(value)}")
    return value == "true"


def read_field_mask(value: object) -> field_mask_pb2.FieldMask:
    """Paths in camelCase or as in the proto file, separated by commas."""
    if not isinstance(value, str):
        raise BadValue(f"must be field names separated by commas, not {shown(value)}")
    if len(value) > _MOST_MASK:
        raise BadValue(f"is longer than {_MOST_MASK} characters")
    mask = field_mask_pb2.FieldMask()
    for path in filter(None, (part.strip() for part in value.split(","))):
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in path)
        # "*" means everything (AIP-134).
        if path != "*" and not all(
            part.isidentifier() and part.isascii() for part in snake.split(".")
        ):
            raise BadValue(f"{shown(path)} is not a field's name")
        mask.paths.append(snake)
    return mask


# Read from one JSON string each, in bodies and in queries.
SPECIAL: Final[Mapping[str, Callable[[object], Message]]] = {
    "google.protobuf.Timestamp": read_timestamp,
    "google.protobuf.Duration": read_duration,
    "google.protobuf.FieldMask": read_field_mask,
}


def _fill_well_known(message: Message, value: object, path: str) -> None:
    try:
        json_format.ParseDict(value, message, max_recursion_depth=32)  # type: ignore[arg-type]
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        kind = message.DESCRIPTOR.full_name
        raise _wrong(path, f"is not a {kind}: {str(error)[:200]}") from None
