"""WatchTasks: the versions of tasks as etcd committed them.

Each watch follows etcd itself, so it sees what is durable and nothing else, in the order of the
log, and can begin at any revision that is not compacted. A token is (generation, revision, index):
the place of an event among all events of its revision under the cluster's prefix, which is the
order of the Txn's writes and never changes. A restore from a backup begins another generation, in
which revisions mean other things: tokens of an earlier one are gone. What is told as an event's
revision is scoped by the generation, so that it grows for ever.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import grpc

from quorate.etcd.api import Compacted, Etcd, EtcdError, WatchBatch, WatchEvent, prefix_end
from quorate.etcd.generation import FIRST_GENERATION, scoped
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError, exhausted, invalid, unavailable
from quorate.v1 import scheduler_pb2 as pb
from scheduler import views
from scheduler.uncommitted import lost

# Of one scheduler.
MAX_WATCHES: Final = 512
_EVENTS_AT_ONCE: Final = 500
_BYTES_AT_ONCE: Final = 1 << 20
_KEEPALIVE: Final = 15.0
_WHOLE: Final = 2**31 - 1


class Place(NamedTuple):
    """Where a watch is: all is told up to this event of this revision."""

    revision: int
    # Of an event among those of its revision.
    offset: int
    generation: int = FIRST_GENERATION


class Watches:
    """Serves WatchTasks from etcd's watch.

    Args:
        generation: of the cluster.
    """

    def __init__(self, etcd: Etcd, prefix: bytes, generation: int = FIRST_GENERATION) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._generation = generation
        self._open = 0
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """The tenure is over: all watches end with LEADER_LOST, to be resumed at the next leader.

        What they tell would still be true, but each would keep the whole dropped state in memory.
        """
        if not self._closed.done():
            self._closed.set_result(None)

    async def follow(
        self, request: pb.WatchTasksRequest, revision: int
    ) -> AsyncIterator[pb.WatchTasksResponse]:
        """Answer one call.

        Args:
            revision: the store's revision when the call began.

        Raises:
            QuorateError: INVALID_ARGUMENT for a bad token, OUT_OF_RANGE for one that etcd cannot
                resume from any more, RESOURCE_EXHAUSTED past the bound.
        """
        place = decode_token(request.resume_token) or Place(revision, _WHOLE, self._generation)
        start, skip, generation = place
        if generation != self._generation:
            raise _gone("the cluster was restored from a backup since the token was given out")
        if start > revision:
            raise _gone("the token is of a later revision than the log: it was restored")
        if self._open >= MAX_WATCHES:
            raise exhausted("TOO_MANY_WATCHES", f"{MAX_WATCHES} are open", limit=MAX_WATCHES)
        self._open += 1
        try:
            first = start + 1 if skip == _WHOLE else start
            prefix = self._prefix
            async with self._etcd.watch(
                prefix, prefix_end(prefix), start_revision=first
            ) as batches:
                pick = _Pick(request, len(prefix), place)
                yield pick.place()
                async with aclosing(_with_keepalives(batches, pick, self._closed)) as answers:
                    async for answer in answers:
                        yield answer
        except Compacted as error:
            raise _gone(f"revisions before {error.revision} are compacted") from error
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
        finally:
            self._open -= 1


async def _with_keepalives(
    batches: AsyncIterator[WatchBatch], pick: _Pick, closed: asyncio.Future[None]
) -> AsyncGenerator[pb.WatchTasksResponse, None]:
    """Answers as events come, and an empty one after 15 s of silence."""
    waiting: asyncio.Future[WatchBatch] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(batches))
            both: tuple[asyncio.Future[Any], ...] = (waiting, closed)
            done, _ = await asyncio.wait(
                both, timeout=_KEEPALIVE, return_when=asyncio.FIRST_COMPLETED
            )
            if closed in done:
                raise lost()
            if not done:
                yield pick.place()
                continue
            batch = waiting.result()
            waiting = None
            for answer in pick.answers(batch):
                yield answer
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


class _Pick:
    """Turns batches of etcd's events into answers to one request."""

    def __init__(self, request: pb.WatchTasksRequest, prefix: int, start: Place) -> None:
        self._queue = request.queue.encode()
        self._ids = frozenset(request.ids)
        self._states = frozenset(request.states)
        self._prefix = prefix
        self._revision, self._index, self._generation = start

    def place(self) -> pb.WatchTasksResponse:
        """Where the watch is: its first answer, and a keepalive."""
        return pb.WatchTasksResponse(
            resume_token=self._token(self._revision, self._index),
            revision=scoped(self._generation, self._revision),
        )

    def _token(self, revision: int, index: int) -> str:
        return encode_token(Place(revision, index, self._generation))

    def answers(self, batch: WatchBatch) -> Iterator[pb.WatchTasksResponse]:
        """The answers a batch makes; none when nothing in it was asked for."""
        answer = pb.WatchTasksResponse()
        size = 0
        # A resumed revision comes again from its first event: those up to the token are skipped.
        revision, index, skip_in, skip = 0, -1, self._revision, self._index
        for event in batch.events:
            if event.kv.mod_revision != revision:
                revision, index = event.kv.mod_revision, -1
            index += 1
            if revision == skip_in and index <= skip:
                continue
            self._revision, self._index = revision, index
            picked = self._picked(event)
            if picked is None:
                continue
            answer.events.append(picked)
            size += picked.ByteSize()
            if len(answer.events) >= _EVENTS_AT_ONCE or size >= _BYTES_AT_ONCE:
                answer.resume_token = self._token(revision, index)
                yield answer
                answer, size = pb.WatchTasksResponse(), 0
        self._revision, self._index = batch.revision, _WHOLE
        if answer.events:
            answer.resume_token = self._token(batch.revision, _WHOLE)
            yield answer

    def _picked(self, event: WatchEvent) -> pb.TaskEvent | None:
        kind, _, rest = event.kv.key[self._prefix :].partition(b"/")
        if kind != b"runs" and kind != b"tasks":
            return None
        queue, _, name = rest.partition(b"/")
        if self._queue and queue != self._queue:
            return None
        task = name.decode()
        if self._ids and task not in self._ids:
            return None
        if event.deleted:
            told = self._deleted(kind, queue.decode(), task)
        elif kind == b"runs":
            told = self._updated(queue.decode(), task, event)
        else:
            told = self._created(queue.decode(), task, event)
        if told is not None:
            told.revision = scoped(self._generation, event.kv.mod_revision)
        return told

    def _deleted(self, kind: bytes, queue: str, task: str) -> pb.TaskEvent | None:
        # Both records go in one Txn: one of them tells.
        if kind == b"runs" or self._states:
            return None
        gone = pb.TaskEvent(kind=pb.TaskEvent.KIND_DELETED)
        gone.task.id, gone.task.queue = task, queue
        return gone

    def _updated(self, queue: str, task: str, event: WatchEvent) -> pb.TaskEvent | None:
        run = r.RunRecord.FromString(event.kv.value)
        if self._states and run.state not in self._states:
            return None
        view = views.task(queue, task, None, run, now=0.0, full=False)
        return pb.TaskEvent(kind=pb.TaskEvent.KIND_UPDATED, task=view)

    def _created(self, queue: str, task: str, event: WatchEvent) -> pb.TaskEvent | None:
        if event.kv.version != 1:
            # Written again by a retry: its run record follows.
            return None
        record = r.TaskRecord.FromString(event.kv.value)
        view = views.task(queue, task, record, None, now=record.create_time, full=False)
        if self._states and view.state not in self._states:
            return None
        return pb.TaskEvent(kind=pb.TaskEvent.KIND_CREATED, task=view)


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
        raise invalid("resume_token", "is not one of ours") from None
    if place.revision < 1 or not 0 <= place.offset <= _WHOLE or place.generation < 1:
        raise invalid("resume_token", "is not one of ours")
    return place


def _gone(why: str) -> QuorateError:
    return QuorateError(
        grpc.StatusCode.OUT_OF_RANGE,
        "RESUME_TOKEN_GONE",
        f"resume_token: {why}; list the tasks again and watch from now",
        field="resume_token",
    )
