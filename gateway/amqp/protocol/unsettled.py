"""Delivery tags of a channel: 1, 2, 3..., what each stands for, and what a transaction settles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable
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

    __slots__ = ("_known", "_tag")

    def __init__(self) -> None:
        # Ordered: the oldest ones are taken first, in constant time each.
        self._known: OrderedDict[int, tuple[Source, int]] = OrderedDict()
        self._tag = 0

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, tag: int) -> bool:
        return tag in self._known

    @property
    def last(self) -> int:
        """The latest tag that is not settled; 0: none."""
        return next(reversed(self._known), 0)

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
            return self.up_to(self._tag)
        if tag not in self._known:
            raise unknown(tag)
        return self.up_to(tag) if multiple else [Delivered(tag, *self._known.pop(tag))]

    def up_to(self, tag: int) -> list[Delivered]:
        """Take all up to a tag."""
        found: list[Delivered] = []
        while self._known and next(iter(self._known)) <= tag:
            known, (source, id) = self._known.popitem(last=False)
            found.append(Delivered(known, source, id))
        return found

    def behind(self, tag: int, but: Container[int]) -> list[Delivered]:
        """Take all behind a tag but these."""
        found: list[int] = []
        for known in reversed(self._known):
            if known <= tag:
                break
            if known not in but:
                found.append(known)
        return [Delivered(known, *self._known.pop(known)) for known in reversed(found)]


class Claims:
    """What a transaction settles. It is taken from `Unsettled` when the transaction is committed:
    so neither `multiple` nor a rollback costs more for many deliveries than for one.

    At most one claim for each delivery that is not settled.
    """

    __slots__ = ("_claims", "_free", "_single", "_up_to")

    def __init__(self) -> None:
        # (outcome, tag, multiple)
        self._claims: list[tuple[int, int, bool]] = []
        # All up to this tag is claimed, and these are.
        self._up_to = 0
        self._single: set[int] = set()
        # Whatever is not settled up to this tag is claimed: the rest was recovered.
        self._free = 0

    def add(self, unsettled: Unsettled, tag: int, *, multiple: bool, outcome: int) -> None:
        """The client settles deliveries. Raises AmqpError 406, as `Unsettled.take`."""
        if multiple and not tag:
            tag = unsettled.last
            if tag <= self._up_to:
                return
        elif tag <= self._up_to or tag in self._single or tag not in unsettled:
            raise unknown(tag)
        self._claims.append((outcome, tag, multiple))
        if multiple:
            self._up_to = tag
        else:
            self._single.add(tag)

    def commit(self, unsettled: Unsettled) -> list[tuple[int, list[Delivered]]]:
        """Take what is claimed: outcomes and deliveries, as they were claimed."""
        found = [
            (outcome, unsettled.up_to(tag) if multiple else unsettled.take(tag, multiple=False))
            for outcome, tag, multiple in self._claims
        ]
        self.clear()
        return found

    def clear(self) -> None:
        """Nothing is claimed."""
        self._claims.clear()
        self._single.clear()
        self._up_to = self._free = 0

    def recover(self, unsettled: Unsettled) -> list[Delivered]:
        """Take what is not claimed."""
        found = unsettled.behind(max(self._up_to, self._free), self._single)
        self._free = unsettled.last
        return found


def unknown(tag: int) -> AmqpError:
    """A tag that is none, or is settled."""
    return AmqpError(Reply.PRECONDITION_FAILED, f"unknown delivery tag {tag}")


def settles(delivered: Iterable[Delivered], outcome: int) -> list[Settle]:
    """What was taken, by source."""
    groups: dict[Source, list[int]] = {}
    for one in delivered:
        groups.setdefault(one.source, []).append(one.id)
    return [Settle(source, ids, outcome) for source, ids in groups.items()]
