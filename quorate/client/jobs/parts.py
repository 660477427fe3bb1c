"""Items in requests of bounded size. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Of one request. The cluster takes 16 MiB; smaller ones keep memory small on both sides.
MOST_ITEMS = 50_000
MOST_BYTES = 4 * 1024 * 1024
# Protobuf's own bytes around an item, at most.
_FRAME = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring items: those of one request."""

    first: int
    """Position of the first one."""
    items: list[bytes] = field(default_factory=list)
    last: bool = False
    """No more follow."""


def parts_of(
    items: Iterable[Any], encode: Callable[[Any, int], bytes], first: int = 0
) -> Iterator[Part]:
    """The items in order, at least one part; holds the items of two parts at once.

    Raises what `encode` and `items` raise, after the parts before it.
    """
    position = first
    part: list[bytes] = []
    size = 0
    for item in items:
        data = encode(item, position)
        if len(part) == MOST_ITEMS or (part and size + len(data) + _FRAME > MOST_BYTES):
            yield Part(position - len(part), part)
            part, size = [], 0
        part.append(data)
        size += len(data) + _FRAME
        position += 1
    yield Part(position - len(part), part, last=True)
