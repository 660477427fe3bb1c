"""Text that a message can carry: protobuf strings are UTF-8.

Python's `str` can hold more: lone surrogates, which stand for the bytes of a file name that is not
UTF-8 (PEP 383). protobuf refuses those with an error that does not name the field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from quorate.runtime.errors import invalid


def checked_text(field: str, value: Any) -> str:
    """`value`, if it is valid text; raises QuorateError (INVALID_ARGUMENT) naming `field`."""
    if not isinstance(value, str):
        raise invalid(field, f"must be text, not {type(value).__name__}")
    if not is_utf8(value):
        shown = value.encode(errors="backslashreplace").decode()
        raise invalid(
            field,
            f'"{shown[:80]}" cannot be written as UTF-8; text that is sent to the cluster must be '
            "UTF-8 (bytes can travel in stdin or in pickled arguments)",
        )
    return value


def is_utf8(value: str) -> bool:
    """Whether it has no lone surrogates."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(field: str, value: Any) -> str:
    """`value` as text; a path, or bytes, as file names are decoded.

    Raises QuorateError (INVALID_ARGUMENT) for another type, or where that is not valid Unicode.
    """
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    return checked_text(field, value)


def checked_texts(field: str, values: Mapping[str, Any]) -> dict[str, str]:
    """A map of texts; errors name the entry."""
    return {text_of(field, name): text_of(f"{field}[{name!r}]", values[name]) for name in values}
