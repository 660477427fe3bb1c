"""What a producer has under way: numbers, batches, confirms, what is sent again. No I/O.

    add --> unsent --batch()--> sent --on_answer()--> confirmed, or refused by number
              ^                   |
              '---- broken() -----'        the next stream gets them again, with the same numbers

The leader keeps the highest number of each producer that is settled, in the commit of the messages
themselves, for 10 minutes, and which were refused: what was durable before a stream broke is
confirmed again and not queued twice, and what was refused is refused again.

Not thread-safe: the caller holds a lock (`producer`) or lives in one event loop (`aproducer`).
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import Final, Generic, NamedTuple, TypeVar

from quorate.client.errors import MessageRejected, MessageUnroutable
from quorate.client.messages.streams.failures import parts
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

# Of one request: the cluster takes 1,024 messages and 4 MiB. Less is confirmed sooner.
BATCH_MESSAGES: Final = 512
BATCH_BYTES: Final = 1 << 20
DEFAULT_MESSAGES: Final = 1_000
DEFAULT_BYTES: Final = 8 << 20
MOST_MESSAGES: Final = 100_000
MOST_BYTES: Final = 1 << 30
# What a message counts beside its bytes.
_BESIDE: Final = 64
# Seconds without an answer to what was sent: then the scheduler is frozen, or cut off.
SILENCE: Final = 10.0


W = TypeVar("W")


class _Waiting(NamedTuple, Generic[W]):
    number: int
    publication: message_pb2.Publication
    size: int
    waiter: W


Settled = list[tuple[W, QuorateError | None]]
"""Who waited, and why their message is not durable; None: it is."""


class Window(Generic[W]):
    """What a producer has under way, within its bounds; `W` waits for one message.

    Args:
        max_messages, max_bytes: bounds of `has_room`; one message may exceed the second.
    """

    def __init__(self, virtual_host: str, max_messages: int, max_bytes: int) -> None:
        _check("max_messages", max_messages, MOST_MESSAGES)
        _check("max_bytes", max_bytes, MOST_BYTES)
        self._virtual_host = virtual_host
        self._most = max_messages
        self._most_bytes = max_bytes
        self._producer = secrets.token_hex(16)
        self._number = 0
        self._bytes = 0
        self._unsent: deque[_Waiting[W]] = deque()
        self._sent: deque[_Waiting[W]] = deque()
        self._first = True
        # Monotonic seconds: when the stream last brought something, or began to be waited for.
        self._heard = 0.0
        self.blocked = False
        """The cluster has no room at the moment; publishing goes on by itself."""
        self.failures = 0
        """Publications that were returned or rejected."""

    @property
    def outstanding(self) -> int:
        """Messages that are not confirmed."""
        return len(self._unsent) + len(self._sent)

    @property
    def has_room(self) -> bool:
        """Whether one more may be added."""
        return self.outstanding < self._most and self._bytes < self._most_bytes

    @property
    def has_unsent(self) -> bool:
        """Whether `batch` has something."""
        return bool(self._unsent)

    def add(self, publication: message_pb2.Publication, waiter: W) -> None:
        """One more. It gets its number here."""
        self._number += 1
        publication.number = self._number
        size = publication.ByteSize() + _BESIDE
        self._bytes += size
        self._unsent.append(_Waiting(self._number, publication, size, waiter))

    def batch(self, now: float) -> pb.PublishStreamRequest:
        """What is sent next: all that is waiting, up to the bounds of a request."""
        request = pb.PublishStreamRequest()
        if self._first:
            self._first = False
            request.virtual_host, request.producer = self._virtual_host, self._producer
        if not self._sent:
            self._heard = now
        size = 0
        batch: list[message_pb2.Publication] = []
        while self._unsent and len(batch) < BATCH_MESSAGES:
            waiting = self._unsent[0]
            if batch and size + waiting.size > BATCH_BYTES:
                break
            size += waiting.size
            batch.append(waiting.publication)
            self._sent.append(self._unsent.popleft())
        request.publications.extend(batch)
        return request

    def on_answer(self, answer: pb.PublishStreamResponse, now: float) -> Settled[W]:
        """Those that are settled now."""
        self._heard = now
        self.blocked = answer.blocked
        failed = {one.number: _error_of(one) for one in answer.results}
        self.failures += len(failed)
        settled: Settled[W] = []
        while self._sent and self._sent[0].number <= answer.confirmed:
            waiting = self._sent.popleft()
            self._bytes -= waiting.size
            settled.append((waiting.waiter, failed.get(waiting.number)))
        return settled

    def broken(self) -> None:
        """The stream ended: what was sent and is not confirmed goes to the next one, in order."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._first = True
        self.blocked = False

    def is_silent(self, now: float) -> bool:
        """Whether something was sent and nothing came for too long.

        A scheduler that has no room says so every 3 s.
        """
        return bool(self._sent) and now - self._heard > SILENCE

    def give_up(self, error: QuorateError) -> Settled[W]:
        """None of them will be confirmed; whether they are durable is not known."""
        waiting = [*self._sent, *self._unsent]
        self._sent.clear()
        self._unsent.clear()
        self._bytes = 0
        return [(one.waiter, error) for one in waiting]


def _error_of(result: pb.PublicationResult) -> QuorateError:
    returned = result.kind == pb.PublicationResult.KIND_RETURNED
    return (MessageUnroutable if returned else MessageRejected)(**parts(result.failure))


def raise_first(results: list[pb.PublicationResult]) -> None:
    """Raise what became of the first of these, if there is any."""
    if results:
        raise _error_of(results[0])


def _check(field: str, value: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(field, f"is {value!r}; use 1 to {most:,}", limit=most, value=value)
