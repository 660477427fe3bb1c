"""Lists as RabbitMQ's API has them: a filter, an order, pages, columns.

| parameter | |
|---|---|
| `page`, `page_size` | a page from 1 on, of 1 to 500 entries (100): an object with `items` |
| `name`, `use_regex=true` | only entries whose name has this in it, or matches it, in either case |
| `sort`, `sort_reverse=true` | by a field, such as `messages` or `message_stats.publish` |
| `columns` | only these fields, comma-separated |

Without `page` the answer is a list of all, and 400 for more than `MOST_UNPAGED`.

https://www.rabbitmq.com/docs/management#pagination
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from gateway.amqp.management.failures import Failure, bad_request
from quorate.runtime.matching.patterns import BadPattern, Pattern

MOST_PAGE: Final = 500
_USUAL_PAGE: Final = 100
# Entries of an answer without pages: about 2 MB.
MOST_UNPAGED: Final = 2_000
MOST_COLUMNS: Final = 50
# Characters of the path of a field, such as `message_stats.publish`.
MOST_PATH: Final = 128
# Digits of a number.
_MOST_DIGITS: Final = 20
# Entries that are looked at before others have the loop.
_AT_ONCE: Final = 500

T = TypeVar("T")
Entry = dict[str, Any]


class Wanted(NamedTuple):
    """What a request wants of a list. `page` 0: all."""

    page: int = 0
    size: int = _USUAL_PAGE
    name: str = ""
    pattern: Pattern | None = None
    sort: str = ""
    reverse: bool = False
    columns: tuple[str, ...] = ()

    def names(self, name: str) -> bool:
        """Whether an entry of this name is wanted. Raises BadPattern."""
        if self.pattern is not None:
            return self.pattern.found_in(name)
        return self.name in name.lower()


def wanted_of(query: Mapping[str, str]) -> Wanted:
    """Raises Failure 400 naming the parameter."""
    page = _number(query, "page", 0, 1, 1 << 31)
    size = _number(query, "page_size", _USUAL_PAGE, 1, MOST_PAGE)
    columns = tuple(filter(None, query.get("columns", "").split(",")))
    if len(columns) > MOST_COLUMNS:
        raise bad_request(f"columns: {len(columns)} are too many; at most {MOST_COLUMNS}")
    for column in columns:
        _path("columns", column)
    sort = _path("sort", query.get("sort", ""))
    name, is_regex = query.get("name", ""), _flag(query, "use_regex")
    pattern = None
    if name and is_regex:
        try:
            pattern = Pattern(name)
        except BadPattern as bad:
            raise bad_request(f"name: this regular expression {bad}") from None
    reverse = _flag(query, "sort_reverse")
    return Wanted(page, size, name.lower(), pattern, sort, reverse, columns)


async def listed(
    wanted: Wanted,
    found: Sequence[T],
    name_of: Callable[[T], str],
    entry_of: Callable[[T], Entry],
) -> Any:
    """The answer: a list, or a page. Raises Failure 400."""
    kept = await _filtered(wanted, found, name_of)
    if wanted.page == 0 and len(kept) > MOST_UNPAGED:
        raise bad_request(
            f"{len(kept)} entries are too many for one answer, the most is {MOST_UNPAGED}; "
            "use page and page_size"
        )
    entries: list[Entry] | None = None
    if wanted.sort:
        entries = await _entries(kept, entry_of)
        entries.sort(key=lambda entry: _rank(field_of(entry, wanted.sort)), reverse=wanted.reverse)
    elif wanted.reverse:
        kept.reverse()
    if wanted.page == 0:
        shown = entries if entries is not None else await _entries(kept, entry_of)
        return [only(entry, wanted.columns) for entry in shown]
    start = (wanted.page - 1) * wanted.size
    if start and start >= len(kept):
        raise Failure(
            400,
            "page_out_of_range",
            f"Page out of range, page: {wanted.page} page size: {wanted.size}, len: {len(kept)}",
        )
    end = start + wanted.size
    shown = entries[start:end] if entries is not None else list(map(entry_of, kept[start:end]))
    return {
        "filtered_count": len(kept),
        "item_count": len(shown),
        "items": [only(entry, wanted.columns) for entry in shown],
        "page": wanted.page,
        "page_count": max(1, -(-len(kept) // wanted.size)),
        "page_size": wanted.size,
        "total_count": len(found),
    }


async def _filtered(wanted: Wanted, found: Sequence[T], name_of: Callable[[T], str]) -> list[T]:
    if not wanted.name:
        return list(found)
    kept: list[T] = []
    for start in range(0, len(found), _AT_ONCE):
        try:
            kept += [one for one in found[start : start + _AT_ONCE] if wanted.names(name_of(one))]
        except BadPattern as bad:
            raise bad_request(f"name: this regular expression {bad}") from None
        await asyncio.sleep(0)
    return kept


async def _entries(found: Sequence[T], entry_of: Callable[[T], Entry]) -> list[Entry]:
    entries: list[Entry] = []
    for start in range(0, len(found), _AT_ONCE):
        entries += map(entry_of, found[start : start + _AT_ONCE])
        await asyncio.sleep(0)
    return entries


def only(entry: Entry, columns: Sequence[str]) -> Entry:
    """An entry's columns, in the shape that they have there; all without columns."""
    if not columns:
        return entry
    found: Entry = {}
    for column in columns:
        value = field_of(entry, column)
        if value is None:
            continue
        *outer, last = column.split(".")
        inside: Any = found
        for step in outer:
            inside = inside.setdefault(step, {}) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside[last] = value
    return found


def field_of(entry: Entry, path: str) -> Any:
    """A field by its path, such as `message_stats.publish`; None: there is none."""
    value: Any = entry
    for step in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _rank(value: Any) -> tuple[int, Any]:
    # What is not there comes first, as in RabbitMQ.
    if isinstance(value, bool | int | float):
        return 1, value
    return (2, value) if isinstance(value, str) else (0, "")


def _path(name: str, path: str) -> str:
    if len(path) > MOST_PATH:
        text = f"{name}: {path[:40]!r}... has {len(path)} characters; use at most {MOST_PATH}"
        raise bad_request(text)
    return path


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise bad_request(f"{name}: {value[:40]!r} is neither true nor false")
    return value == "true"


def _number(query: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return usual
    whole = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    value = int(text) if whole else -1
    if not least <= value <= most:
        raise bad_request(f"{name}: {text[:40]!r} is not a whole number from {least} to {most}")
    return value
