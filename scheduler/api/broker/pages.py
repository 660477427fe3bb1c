"""Pages of long lists, found in slices: nothing here holds the loop for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import Any, Final, TypeVar

from scheduler.api import page_tokens, validate

T = TypeVar("T")
# Entries that are looked at before others have the loop: some milliseconds.
AT_ONCE: Final = 20_000


async def page(
    kind: str,
    filters: tuple[object, ...],
    known: Iterable[T],
    key: Callable[[T], Any],
    page_size: int,
    token: str,
    read: Callable[[str], Any] = str,
    wanted: Callable[[T], bool] | None = None,
) -> tuple[list[T], str]:
    """A page in the order of `key`, and the token of the next page.

    Args:
        filters: what the token is good for.
        read: a key of what the token holds, which is its text.
        wanted: which of them are meant; None: all.

    Raises:
        QuorateError: INVALID_ARGUMENT for a page size or token that is not good.
    """
    size = validate.page_size(page_size)
    position = page_tokens.decode(kind, filters, token)
    try:
        after = None if position is None else read(position)
    except ValueError:
        raise page_tokens.stale("is malformed; begin again without it") from None
    rows = list(known)
    found: list[T] = []
    for start in range(0, len(rows), AT_ONCE):
        if start:
            await asyncio.sleep(0)
        part = rows[start : start + AT_ONCE]
        if after is not None:
            part = [row for row in part if key(row) > after]
        if wanted is not None:
            part = [row for row in part if wanted(row)]
        found = nsmallest(size + 1, [*found, *part], key=key)
    page = found[:size]
    if len(found) <= size:
        return page, ""
    return page, page_tokens.encode(kind, filters, str(key(page[-1])))
