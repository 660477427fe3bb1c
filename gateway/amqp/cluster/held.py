"""What a session has and has not settled, for its next leader.

| outcome | kept until | to the next leader |
|---|---|---|
| ACK, REJECT | it is durable | listed, and settled again |
| NACK, REQUEUE | it is sent | not listed: the message is ready again |

A settlement costs the leader and etcd a commit, however many deliveries are in it. So while one is
on its way, acknowledgements gather, as long as the client has more deliveries left to settle than
have gathered: it does not wait for the room that they make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.amqp.protocol.effects import Settle, Source
from quorate.v1 import broker_pb2 as pb

# Of one request; the cluster takes 65,535.
_MOST_IDS: Final = 10_000
_KEPT: Final = (pb.OUTCOME_ACK, pb.OUTCOME_REJECT)


@dataclass(slots=True)
class Asked:
    """A settlement on its way. `done`: called when it is durable."""

    source: Source
    ids: list[int]
    outcome: int
    done: Callable[[], None] | None = None


class Held:
    """Of one session. Bounded by what the cluster delivers before it is settled."""

    def __init__(self) -> None:
        # Insertion order: oldest first.
        self._deliveries: dict[Source, dict[int, None]] = {}
        self._unsent: deque[Asked] = deque()
        self._sent: deque[tuple[int, Asked]] = deque()
        self._number = 0
        # How many deliveries the client has not settled.
        self._open: dict[Source, int] = {}

    @property
    def quiet(self) -> bool:
        """Whether all settlements are durable."""
        return not (self._unsent or self._sent)

    def put(self, source: Source, ids: Sequence[int]) -> None:
        """Deliveries came."""
        held = self._deliveries.setdefault(source, {})
        for one in ids:
            held[one] = None
        self._open[source] = self._open.get(source, 0) + len(ids)

    def has(self, source: Source) -> bool:
        """Whether anything of a source is not settled."""
        return bool(self._deliveries.get(source))

    def count(self, source: Source) -> int:
        """How many of a source are not settled."""
        return len(self._deliveries.get(source, ()))

    def ids(self, source: Source) -> list[int]:
        """Those of a source that are not settled."""
        return list(self._deliveries.get(source, ()))

    def release(self) -> None:
        """Nothing becomes durable any more: nobody waits for it."""
        for asked in [*self._unsent, *(one for _, one in self._sent)]:
            if asked.done is not None:
                asked.done()

    def forget(self, source: Source) -> None:
        """Its queue is gone."""
        self._deliveries.pop(source, None)
        self._open.pop(source, None)

    def ask(self, settle: Settle) -> None:
        """The client settled deliveries. Those of one source that follow each other are one."""
        self._close(settle.source, len(settle.ids))
        last = self._unsent[-1] if self._unsent else None
        if (
            last is not None
            and last.done is None
            and (last.source, last.outcome) == (settle.source, settle.outcome)
            and len(last.ids) + len(settle.ids) <= _MOST_IDS
        ):
            last.ids.extend(settle.ids)
        else:
            self._unsent.append(Asked(settle.source, list(settle.ids), settle.outcome))

    def barrier(self, source: Source, done: Callable[[], None]) -> None:
        """Have `done` called when all that was asked before is durable."""
        self._unsent.append(Asked(source, [], pb.OUTCOME_ACK, done))

    def committed(self, settle: Settle) -> None:
        """Deliveries were settled in another way."""
        self._close(settle.source, len(settle.ids))
        self._remove(settle.source, settle.ids)

    @property
    def has_unsent(self) -> bool:
        """Whether settlements wait."""
        return bool(self._unsent)

    def next(self, *, gather: bool = True) -> pb.Settle | None:
        """The next settlement to send; None: not before something is asked or settled.

        Args:
            gather: False: acknowledgements do not wait for others.
        """
        if not self._unsent or (gather and self._gathers()):
            return None
        asked = self._unsent.popleft()
        if len(asked.ids) > _MOST_IDS:
            rest = Asked(asked.source, asked.ids[_MOST_IDS:], asked.outcome, asked.done)
            self._unsent.appendleft(rest)
            asked = Asked(asked.source, asked.ids[:_MOST_IDS], asked.outcome)
        self._number += 1
        self._sent.append((self._number, asked))
        if asked.outcome not in _KEPT:
            # It may be delivered again before this one is durable.
            self._remove(asked.source, asked.ids)
        return pb.Settle(
            number=self._number,
            consumer=asked.source.consumer,
            queue="" if asked.source.consumer else asked.source.queue,
            ids=asked.ids,
            outcome=asked.outcome,  # type: ignore[arg-type]
        )

    def _gathers(self) -> bool:
        """Whether more acknowledgements are to be in the next settlement."""
        if not self._sent or len(self._unsent) > 1:
            return False
        asked = self._unsent[0]
        return (
            asked.outcome == pb.OUTCOME_ACK
            and asked.done is None
            and len(asked.ids) < min(_MOST_IDS, self._open.get(asked.source, 0))
        )

    def settled(self, number: int) -> None:
        """All up to this number is durable."""
        while self._sent and self._sent[0][0] <= number:
            asked = self._sent.popleft()[1]
            if asked.outcome in _KEPT:
                self._remove(asked.source, asked.ids)
            if asked.done is not None:
                asked.done()

    def restart(self) -> list[pb.Unsettled]:
        """The inventory for a new stream. Settlements that are not durable are to be sent again."""
        again = [
            asked if asked.outcome in _KEPT else Asked(asked.source, [], asked.outcome, asked.done)
            for _, asked in self._sent
        ]
        self._sent.clear()
        self._unsent.extendleft(reversed([one for one in again if one.ids or one.done]))
        return [
            pb.Unsettled(queue=source.queue, consumer=source.consumer, ids=list(ids))
            for source, ids in self._deliveries.items()
            if ids
        ]

    def _close(self, source: Source, count: int) -> None:
        left = self._open.get(source, 0) - count
        if left > 0:
            self._open[source] = left
        else:
            self._open.pop(source, None)

    def _remove(self, source: Source, ids: Sequence[int]) -> None:
        held = self._deliveries.get(source)
        if held is None:
            return
        for one in ids:
            held.pop(one, None)
        if not held:
            del self._deliveries[source]
