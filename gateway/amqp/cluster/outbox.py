"""Publications of one producer until they are confirmed: kept, and sent again to the next leader.

add --> waiting --batch--> sent --settle--> gone
          ^                  |
          '---- restart -----'

A request costs the gateway, the leader and etcd more than the messages in it. So:

* At most `MOST_REQUESTS` requests are without an answer, and the second one has at least as many
  messages as the first. What is added meanwhile goes out in one, when the first of them is
  answered: batches grow with the load, and nobody waits for more than what is being committed.
* Publishers that wait for their confirms publish again when they come, one behind the other. After
  an answer the next request waits until as many messages are there as were confirmed, but not
  longer than `TURNAROUND`. A lone publisher is not held: its next message is all of them.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, NamedTuple

import grpc

from gateway.amqp.protocol.effects import Publication
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.v1 import broker_pb2 as pb

# Of one request. The cluster takes 1,024 messages and 4 MiB.
BATCH_MESSAGES: Final = 1_024
BATCH_BYTES: Final = 1 << 20
# Without an answer: one that is being committed, and one that waits for the next commit.
MOST_REQUESTS: Final = 2
# Seconds that a client has to publish again after its confirms.
TURNAROUND: Final = 0.002
# What a message counts beside its bytes.
MESSAGE_BYTES: Final = 256


class Settled(NamedTuple):
    """A publication whose end is known. `result`: None: it is durable in all its queues."""

    number: int
    publication: Publication
    result: pb.PublicationResult | None


class Outbox:
    """Bounded by its connection, which does not read on while too much waits.

    Attributes:
        size: bytes of all that is not settled.
        number: of the last one that was added.
    """

    def __init__(self) -> None:
        self.size = 0
        self.number = 0
        # Oldest first.
        self._sent: deque[tuple[int, Publication]] = deque()
        self._unsent: deque[tuple[int, Publication]] = deque()
        self._results: dict[int, pb.PublicationResult] = {}
        # The last number of each request that is not answered, and how many messages it has.
        self._requests: deque[tuple[int, int]] = deque()
        # How many messages the latest answer confirmed, and until when as many are waited for.
        self._confirmed, self._until = 0, 0.0

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent)

    def add(self, publication: Publication) -> int:
        """The publication's number: 1, 2, 3..."""
        self.number += 1
        self._unsent.append((self.number, publication))
        self.size += _size(publication)
        return self.number

    def restart(self) -> None:
        """A new stream: nothing is sent on it yet."""
        self._sent.extend(self._unsent)
        self._sent, self._unsent = self._unsent, self._sent
        self._sent.clear()
        self._results.clear()
        self._requests.clear()

    def due(self, now: float) -> float:
        """When `batch` is to be sent, in monotonic seconds; inf: not before something is added or
        answered."""
        waiting = len(self._unsent)
        if not waiting or len(self._requests) >= MOST_REQUESTS:
            return inf
        if self._requests:
            return now if waiting >= self._requests[0][1] else inf
        return now if waiting >= self._confirmed else max(now, self._until)

    def batch(self) -> list[wire.PublicationEnvelope]:
        """What is sent next."""
        found: list[wire.PublicationEnvelope] = []
        size = 0
        while self._unsent and len(found) < BATCH_MESSAGES:
            number, publication = self._unsent[0]
            size += len(publication.message)
            if found and size > BATCH_BYTES:
                break
            self._sent.append(self._unsent.popleft())
            found.append(
                wire.PublicationEnvelope(
                    message=publication.message,
                    mandatory=publication.returned is not None,
                    number=number,
                )
            )
        if found:
            self._requests.append((found[-1].number, len(found)))
        return found

    def settle(self, answer: pb.PublishStreamResponse, now: float) -> list[Settled]:
        """What an answer says of them, in their order."""
        for result in answer.results:
            self._results[result.number] = result
        found: list[Settled] = []
        sent, results = self._sent, self._results
        while sent and sent[0][0] <= answer.confirmed:
            number, publication = sent.popleft()
            self.size -= _size(publication)
            found.append(Settled(number, publication, results.pop(number, None)))
        while self._requests and self._requests[0][0] <= answer.confirmed:
            self._requests.popleft()
        if found:
            self._confirmed, self._until = len(found), now + TURNAROUND
        return found

    @property
    def has_unsent(self) -> bool:
        """Whether something waits."""
        return bool(self._unsent)


def is_nacked(failure: pb.Failure) -> bool:
    """Whether a queue refused a publication, or it is repeated and was not queued, or the cluster
    does not know any more whether it is. What fails otherwise closes the channel."""
    full = failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    return full or failure.reason in ("OUTCOME_FORGOTTEN", "NUMBER_SKIPPED")


def _size(publication: Publication) -> int:
    held = len(publication.message) + MESSAGE_BYTES
    if publication.returned is not None:
        held += len(publication.returned[2]) + len(publication.returned[3])
    return held
