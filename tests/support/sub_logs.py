"""Sub-logs of a message queue for tests: chunks made at once, and what is alive in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scheduler.core.broker.storage.format import Summary, chunked, pack
from scheduler.core.broker.storage.records import Change, PutChunk
from scheduler.core.broker.storage.sub_log import SubLog

NOW = 1_700_000_000.0
QUEUE = "00000000000000a1"


class Chunks:
    """The bytes of the chunks of a sub-log that leads, as if each publication committed at once."""

    def __init__(self, log: SubLog | None = None) -> None:
        self.log = log or SubLog()
        self.values: dict[int, bytes] = {}

    def publish(self, count: int, size: int = 10) -> Summary:
        """One chunk of `count` messages."""
        first = self.log.reserve(count)
        messages = [pack(first + n, NOW, b"x" * size) for n in range(count)]
        (builder,) = chunked(messages)
        summary, value = builder.build()
        self.values[summary.first] = value
        self.log.committed(summary)
        return summary

    def ack(self, *spans: int | tuple[int, int], space: bool = True) -> Change:
        """Acknowledge sequences, or spans of them."""
        pairs = [(one, one) if isinstance(one, int) else one for one in spans]
        return self.log.acknowledge(pairs, NOW, space=space)

    def read(self, firsts: Iterable[int]) -> list[tuple[int, bytes]]:
        return [(first, self.values[first]) for first in firsts]

    def keep(self, change: Change) -> None:
        """Take the chunks that a merge wrote."""
        for write in change.writes:
            if isinstance(write, PutChunk):
                self.values[write.first] = write.value


def alive_in(log: SubLog) -> dict[int, int]:
    """Sequence -> deliveries of what is alive, found by looking at each message."""
    found: dict[int, int] = {}
    for place, chunk in enumerate(log.chunks):
        done = log.of_chunk(chunk.first)
        counts = dict(done.returned)
        for ordinal in range(chunk.messages):
            if not done.done >> ordinal & 1:
                found[log.chunks.sequence(place, ordinal)] = counts.get(ordinal, 0)
    return found


def kinds(writes: Sequence[object]) -> list[str]:
    """The kinds of writes, in order."""
    return [type(write).__name__ for write in writes]
