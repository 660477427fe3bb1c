"""What one client published, got and settled: numbers from 1, each the body of one message."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise

_TICK = 0.005


class Record:
    """The truth of one queue with one producer and one consumer.

    Attributes:
        published: numbers up to this one were sent.
        confirmed: those of which the producer has the confirm.
        seen: those that the consumer got.
        settled: those of which the consumer knows that their acknowledgement holds.
        again: those that came after that.
        trouble: what must not happen to a client: its connection closed, a message refused.
        confirms, deliveries: when one came (`time.monotonic`).
    """

    def __init__(self) -> None:
        self.published = 0
        self.confirmed: set[int] = set()
        self.seen: set[int] = set()
        self.settled: set[int] = set()
        self.again: list[int] = []
        self.trouble: list[str] = []
        self.confirms: list[float] = []
        self.deliveries: list[float] = []

    def next(self) -> int:
        """The number of the message that is sent now."""
        self.published += 1
        return self.published

    def on_confirmed(self, number: int) -> None:
        self.confirmed.add(number)
        self.confirms.append(time.monotonic())

    def on_delivered(self, number: int) -> None:
        if number in self.settled:
            self.again.append(number)
        self.seen.add(number)
        self.deliveries.append(time.monotonic())

    def on_settled(self, numbers: Iterable[int]) -> None:
        self.settled.update(numbers)

    @property
    def is_whole(self) -> bool:
        """Whether all that was published is confirmed, delivered and settled."""
        counts = (len(self.confirmed), len(self.seen), len(self.settled))
        return all(count == self.published for count in counts)

    def check(self) -> None:
        """Raises AssertionError: a confirmed message is lost, or a settled one came again."""
        assert not self.trouble, self.trouble
        lost = sorted(self.confirmed - self.seen)
        assert not lost, f"{len(lost)} confirmed messages are lost: {lost[:10]}"
        assert not self.again, f"{len(self.again)} settled messages came again: {self.again[:10]}"


class Traffic(ABC):
    """A client with a producer and a consumer of one queue.

    Attributes:
        name: of the client.
        queue: its own.
    """

    def __init__(self, name: str, rate: float) -> None:
        self.name, self.queue = name, f"traffic-{name}"
        self.record = Record()
        self._rate = rate
        self._stopped = False

    @abstractmethod
    def run(self) -> AbstractAsyncContextManager[None]:
        """Publish and consume from entering to leaving."""

    def stop(self) -> None:
        """Publish nothing new."""
        self._stopped = True

    async def numbers(self) -> AsyncIterator[list[int]]:
        """What is to be published now, at the rate of this client. Whoever was held up has all of
        it next time."""
        began = time.monotonic()
        while not self._stopped:
            due = int((time.monotonic() - began) * self._rate) - self.record.published
            if due > 0:
                yield [self.record.next() for _ in range(due)]
            await asyncio.sleep(_TICK)


def longest_pause(times: Sequence[float], begin: float, end: float) -> float:
    """Seconds: the longest time between two that follow each other, of those in a span."""
    within = [begin, *(one for one in times if begin < one < end)]
    return max((after - before for before, after in pairwise(within)), default=0.0)
