"""What one watch of tasks wants, and how far it got: changes in, encoded answers out. Pure.

A token is (generation, revision, index): all is sent up to that event of that revision. The index
counts all events of the revision below the cluster's prefix, which is the order of the Txn's writes
and never changes, so that a token means the same at every scheduler of every version.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from quorate.etcd.generation import FIRST_GENERATION, scoped
from quorate.runtime.errors import invalid
from quorate.runtime.ids import TaskId, is_task_id
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.tasks.changes import MOVED, WHOLE, Change
from scheduler.core.graphs.members import MOST_NODES, graph_task

# Of one answer.
EVENTS_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 256 << 10
# In which a task can be before its first run record.
_FIRST_STATES: Final = frozenset(
    (
        task_pb2.TASK_STATE_SCHEDULED,
        task_pb2.TASK_STATE_PENDING,
        task_pb2.TASK_STATE_BLOCKED,
    )
)


class Place(NamedTuple):
    """Where a watch is: all is sent up to this event of this revision."""

    revision: int
    # Of an event among those of its revision.
    offset: int
    generation: int = FIRST_GENERATION


class Answer:
    """A WatchTasksResponse, encoded: events are encoded once for all who watch them."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def SerializeToString(self) -> bytes:
        """As a message has it."""
        return self._body


class Pick:
    """One request's filter and place.

    Args:
        start: all is sent up to here.
    """

    def __init__(self, request: pb.WatchTasksRequest, start: Place) -> None:
        self.queue = request.queue
        self._ids = frozenset(request.ids)
        self._states = frozenset(request.states)
        self._span: tuple[str, str] | None = None
        if is_task_id(request.job_id):
            job = TaskId(request.job_id)
            self._span = graph_task(job, 0), graph_task(job, MOST_NODES - 1)
        self.generation = start.generation
        self.at: tuple[int, int] = (start.revision, start.offset)

    @property
    def kinds(self) -> tuple[bytes, ...]:
        """The kinds of records of which something may be sent."""
        if self._states and not self._states & _FIRST_STATES:
            return (b"runs",)
        return (b"tasks", b"runs")

    def reached(self, revision: int) -> None:
        """Nothing more is wanted of what changed up to `revision`."""
        self.at = max(self.at, (revision, WHOLE))

    def progress(self) -> Answer:
        """An answer without events: the first one, and what a silent watch gets."""
        revision, _ = self.at
        response = pb.WatchTasksResponse(
            resume_token=self._token(), revision=scoped(self.generation, revision)
        )
        return Answer(response.SerializeToString())

    def wants_progress(self, queue: str, task: str) -> bool:
        """Whether events of a running task are wanted."""
        if self._states and task_pb2.TASK_STATE_RUNNING not in self._states:
            return False
        if self._span is not None and not self._span[0] <= task <= self._span[1]:
            return False
        return (not self._ids or task in self._ids) and (not self.queue or queue == self.queue)

    def besides(self, response: pb.WatchTasksResponse) -> Answer:
        """An answer with events that are not of the log: the watch stays where it is."""
        response.resume_token = self._token()
        response.revision = scoped(self.generation, self.at[0])
        return Answer(response.SerializeToString())

    def _token(self) -> str:
        return encode_token(Place(*self.at, self.generation))

    def answers(self, changes: Iterable[Change]) -> Iterator[Answer]:
        """Go through changes; an answer whenever one is full, and for what is left."""
        parts: list[bytes] = []
        size = 0
        for change in changes:
            # Cut before an event, not behind it: of some revisions it is known only as a whole
            # what was sent.
            if (
                parts
                and change.at > self.at
                and (len(parts) >= EVENTS_AT_ONCE or size >= BYTES_AT_ONCE)
            ):
                yield self._answer(parts)
                parts, size = [], 0
            data = self._wanted(change)
            self.at = max(self.at, change.at)
            if data is not None:
                parts.append(data)
                size += len(data)
        if parts:
            yield self._answer(parts)

    def _wanted(self, change: Change) -> bytes | None:
        if self._ids and change.task not in self._ids:
            return None
        if self._span is not None and not self._span[0] <= change.task <= self._span[1]:
            return None
        if self.queue and change.queue != self.queue:
            return None
        notification = change.notification
        if notification is None:
            return None
        if self._states and notification.state not in self._states:
            # Who waits for a task in its queue must learn that it is elsewhere.
            return notification.data if notification.state == MOVED and self.queue else None
        return notification.data

    def _answer(self, parts: list[bytes]) -> Answer:
        # Encoded messages one behind the other are one with the fields of all.
        parts.append(pb.WatchTasksResponse(resume_token=self._token()).SerializeToString())
        return Answer(b"".join(parts))


def encode_token(place: Place) -> str:
    """An opaque resume token. Without the generation when it is the first one, as it always was:
    a scheduler of an earlier version reads it too."""
    revision, index, generation = place
    text = f"{revision}.{index}"
    if generation != FIRST_GENERATION:
        text += f".{generation}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_token(token: str) -> Place | None:
    """The place that a token names; None when it is empty."""
    if not token:
        return None
    try:
        numbers = map(int, base64.urlsafe_b64decode(token.encode()).decode().split("."))
        place = Place(*numbers)
    except (ValueError, TypeError, binascii.Error):
        raise invalid("resume_token", "is malformed; begin again without it") from None
    if place.revision < 1 or not 0 <= place.offset <= WHOLE or place.generation < 1:
        raise invalid("resume_token", "is malformed; begin again without it")
    return place
