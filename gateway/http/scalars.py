"""Values of JSON and of query strings as protobuf scalars, by the rules of ProtoJSON.

`https://protobuf.dev/programming-guides/json/`: numbers may be strings, enums names or numbers,
bytes base64 in either alphabet. Narrower than that page in one thing: enum values that this version
does not know are refused, since the services refuse them too. Each reader raises `BadValue` with
the end of a sentence that begins with the field's name.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

INTEGER: Final = r"-?(0|[1-9][0-9]*)"
NUMBER: Final = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
BASE64: Final = r"([A-Za-z0-9+/_-]{4})*([A-Za-z0-9+/_-]{2}(==)?|[A-Za-z0-9+/_-]{3}=?)?"
DURATION: Final = r"-?[0-9]{1,12}(\.[0-9]{1,9})?s"
TIMESTAMP: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# A 64-bit number has 20 digits; more are refused before they are converted.
_MOST_DIGITS: Final = 32

_integer = re.compile(INTEGER)
_number = re.compile(NUMBER)
_duration = re.compile(DURATION)
_timestamp = re.compile(TIMESTAMP)
_to_standard = bytes.maketrans(b"-_", b"+/")
_BASE64_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
# Members of an array or object that an error shows.
_MOST_SHOWN: Final = 8

F = FieldDescriptor
BITS: Final = {
    F.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}

Reader = Callable[[Any], Any]


class BadValue(ValueError):
    """Why a value is refused: "must be ..." """


def shown(value: object) -> str:
    """A value in a sentence, cut short. Takes no longer for a larger value."""
    if isinstance(value, str):
        value = value[:64]
    elif isinstance(value, list | dict):
        within = value if isinstance(value, list) else value.values()
        if len(value) > _MOST_SHOWN or any(isinstance(one, list | dict) for one in within):
            kind = "an array" if isinstance(value, list) else "an object"
            return f"{kind} of {len(value)}"
        if isinstance(value, list):
            text = f"[{', '.join(map(shown, value))}]"
        else:
            pairs = (f"{shown(name)}: {shown(one)}" for name, one in value.items())
            text = f"{{{', '.join(pairs)}}}"
        return text if len(text) <= 60 else f"{text[:57]}..."
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reader_of(field: FieldDescriptor) -> Reader:
    """What reads one value of a scalar or enum field."""
    kind = field.cpp_type
    if kind in BITS:
        least, most = BITS[kind]
        return lambda value: read_integer(value, least, most)
    if kind == F.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return enum_reader(field.enum_type)
    if kind == F.CPPTYPE_BOOL:
        return read_bool
    if kind == F.CPPTYPE_FLOAT:
        return lambda value: read_float(value, 3.4028234663852886e38)
    if kind == F.CPPTYPE_DOUBLE:
        return lambda value: read_float(value, math.inf)
    return read_bytes if field.type == F.TYPE_BYTES else read_string


def read_integer(value: object, least: int, most: int) -> int:
    """An integer, as a number or as text."""
    if isinstance(value, str):
        if len(value) > _MOST_DIGITS or not _integer.fullmatch(value):
            raise BadValue(f"must be an integer, not {shown(value)}")
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadValue(f"must be an integer, not {shown(value)}")
    if not least <= value <= most:
        raise BadValue(f"must be an integer within {least} and {most}")
    return value


def read_float(value: object, most: float) -> float:
    """A number, as such or as text; NaN and the infinities by name."""
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value.replace("Infinity", "inf"))
        if len(value) > 400 or not _number.fullmatch(value):
            raise BadValue(f"must be a number, not {shown(value)}")
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadValue(f"must be a number, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number) or abs(number) > most:
        raise BadValue("is too large a number")
    return number


def read_bool(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise BadValue(f"must be true or false, not {shown(value)}")
    return value


def read_string(value: object) -> str:
    """Text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise BadValue(f"must be a string, not {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadValue("holds half of a surrogate pair, which is not text") from None
    return value


def read_bytes(value: object) -> bytes:
    """Base64, in the standard or the URL-safe alphabet, padded or not."""
    # By whole-string operations: a regular expression remembers each of its repetitions, which
    # costs 40 times the memory of the text.
    if not isinstance(value, str) or not value.isascii():
        raise BadValue(f"must be base64, not {shown(value)}")
    text = value.encode()
    plain = text[:-2] if text.endswith(b"==") else text.removesuffix(b"=")
    padded = len(plain) < len(text)
    if len(plain) % 4 == 1 or (padded and len(text) % 4) or plain.translate(None, _BASE64_BYTES):
        raise BadValue(f"must be base64, not {shown(value)}")
    return binascii.a2b_base64(plain.translate(_to_standard) + b"=" * (-len(plain) % 4))


def enum_reader(enum: EnumDescriptor) -> Reader:
    """Reads a value of an enum by name or number."""
    by_name = {value.name: value.number for value in enum.values}
    numbers = frozenset(by_name.values())

    def read(value: object) -> int:
        if isinstance(value, str) and value in by_name:
            return by_name[value]
        try:
            # Text that is a number is what a query string has.
            number = read_integer(value, *BITS[F.CPPTYPE_INT32])
        except BadValue:
            number = None
        if number not in numbers:
            raise BadValue(f"must be one of {', '.join(by_name)}, not {shown(value)}")
        assert number is not None
        return number

    return read


def read_timestamp(value: object) -> Timestamp:
    """RFC 3339 with an offset."""
    if not isinstance(value, str) or not _timestamp.fullmatch(value):
        raise BadValue(f"must be a time such as 2026-01-31T12:00:00Z, not {shown(value)}")
    stamp = Timestamp()
    try:
        stamp.FromJsonString(value.upper())
    except (ValueError, OverflowError):
        raise BadValue(f"{value} is not an instant between the years 1 and 9999") from None
    return stamp


def read_duration(value: object) -> Duration:
    """Seconds with an `s`."""
    if not isinstance(value, str) or not _duration.fullmatch(value):
        raise BadValue(f'must be a duration in seconds such as "1.5s", not {shown(value)}')
    span = Duration()
    try:
        span.FromJsonString(value)
    except ValueError:
        raise BadValue(f"{value} is longer than 10,000 years") from None
    return span
