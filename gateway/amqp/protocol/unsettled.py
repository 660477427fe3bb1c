"""Delivery tags of a channel: 1, 2, 3..., and what each stands for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from gateway.amqp.protocol.effects import Settle, Source
from gateway.amqp.wire.replies import AmqpError, Reply


class Delivered(NamedTuple):
    """A delivery that the client has."""

    tag: int
    source: Source
    id: int


class Unsettled:
    """Deliveries that the client has and did not settle.

    Bounded by the prefetch of the consumers; without one the cluster holds 64 MiB at most.
    """

    __slots__ = ("_again", "_known", "_order", "_tag")

    def __init__(self) -> None:
        # Ordered: the oldest ones are taken first, in constant time each.
        self._known: OrderedDict[int, tuple[Source, int]] = OrderedDict()
        self._tag = 0
        # Those that were put back, and a heap of their tags, perhaps with some that are taken:
        # neither putting them back nor taking them looks at all others.
        self._again: dict[int, tuple[Source, int]] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._known) + len(self._again)

    def next_tag(self) -> int:
        """The tag of a delivery that is settled already."""
        self._tag += 1
        return self._tag

    def put(self, source: Source, id: int) -> int:
        """The tag of a delivery."""
        self._tag += 1
        self._known[self._tag] = source, id
        return self._tag

    def take(self, tag: int, *, multiple: bool) -> list[Delivered]:
        """Deliveries that the client settles.

        Raises AmqpError 406 for a tag that is none, or is settled.
        """
        if multiple and not tag:
            return self._up_to(self._tag)
        found = self._known.get(tag) or self._again.get(tag)
        if found is None:
            raise AmqpError(Reply.PRECONDITION_FAILED, f"unknown delivery tag {tag}")
        if multiple:
            return self._up_to(tag)
        if self._known.pop(tag, None) is None:
            del self._again[tag]
        return [Delivered(tag, *found)]

    def put_back(self, delivered: Iterable[Delivered]) -> None:
        """They are not settled after all."""
        for one in delivered:
            self._again[one.tag] = one.source, one.id
            heappush(self._order, one.tag)
        if len(self._order) > 2 * len(self._again) + 64:
            self._order = sorted(self._again)

    def _up_to(self, tag: int) -> list[Delivered]:
        found: list[Delivered] = []
        while self._known and next(iter(self._known)) <= tag:
            known, (source, id) = self._known.popitem(last=False)
            found.append(Delivered(known, source, id))
        if self._again:
            before = len(found)
            while self._order and self._order[0] <= tag:
                known = heappop(self._order)
                if (one := self._again.pop(known, None)) is not None:
                    found.append(Delivered(known, *one))
            if len(found) > before:
                found.sort()
        return found


def settles(delivered: Iterable[Delivered], outcome: int) -> list[Settle]:
    """What was taken, by source."""
    groups: dict[Source, list[int]] = {}
    for one in delivered:
        groups.setdefault(one.source, []).append(one.id)
    return [Settle(source, ids, outcome) for source, ids in groups.items()]
