"""Page tokens: where the next page of a list begins.

A token names its method and filters, so that one of another list is refused. It is not signed: the
position is checked like any other input.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from quorate.runtime.errors import QuorateError, invalid

# Characters of a page token; ours have a filter of 256 characters and a name at most.
_MOST_TOKEN = 8_192


def encode(kind: str, filters: Sequence[object], position: str) -> str:
    """An opaque page token, good for the same method and filters only."""
    text = json.dumps([kind, list(filters), position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode(kind: str, filters: Sequence[object], token: str) -> str | None:
    """The position in a token; None for the first page. Raises QuorateError for a stale one."""
    if not token:
        return None
    if len(token) > _MOST_TOKEN:
        raise stale("is malformed; begin again without it")
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
        of_kind, of_filters, position = found
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise stale("is malformed; begin again without it") from None
    if of_kind != kind or of_filters != list(filters) or not isinstance(position, str):
        raise stale("belongs to a list with other filters; begin again without it")
    return position


def stale(message: str) -> QuorateError:
    """A page token that is not (any longer) good."""
    return invalid("page_token", message, reason="STALE_PAGE_TOKEN")
