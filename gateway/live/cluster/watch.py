"""One WatchTasks of the cluster, shared by every feed of its queue.

Owns its journal. It outlives failovers: the stream goes on behind its last token, here or in
`Upstream`. When the cluster cannot go on from there (compacted, restored), the journal begins anew
and every feed on it gets a snapshot.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

import grpc
import structlog

from gateway.live.cluster.calls import WATCH_TASKS, Cluster, passes
from gateway.live.cluster.entries import Entry, Specs, remember
from gateway.live.cluster.journal import Journal
from gateway.live.cluster.tokens import Token
from quorate.runtime.errors import QuorateError
from quorate.runtime.timing.backoff import Backoff
from quorate.v1 import scheduler_pb2, task_pb2

log = structlog.get_logger(__name__)

# Seconds without an answer after which the stream is opened again: a frozen scheduler says nothing.
# The cluster says every second how far it is; one of an earlier version every 15 s.
SILENCE = 20.0
_PROGRESS = scheduler_pb2.TaskEvent.KIND_PROGRESS

Observer = Callable[[scheduler_pb2.TaskEvent], None]
"""Called with each event before the journal has it."""


class Holder(Protocol):
    """Somebody who needs a watch."""

    def on_events(self, watch: TaskWatch) -> None:
        """The journal grew."""

    def on_progress(self, said: Sequence[task_pb2.Task]) -> None:
        """Running tasks said how far they are; these have no more than that."""
        return

    def on_restart(self, watch: TaskWatch) -> None:
        """The journal began anew."""

    def on_failure(self, watch: TaskWatch, error: QuorateError) -> None:
        """The watch is over."""


class TaskWatch:
    """Follows the tasks of one queue, all of them when it is empty.

    Args:
        start: where to begin; from now on when None.
    """

    def __init__(self, cluster: Cluster, queue: str, specs: Specs, start: Token | None) -> None:
        self.queue = queue
        self.journal = Journal()
        self.holders: dict[Holder, None] = {}
        self.observers: list[Observer] = []
        self.task: asyncio.Task[None] | None = None
        self.linger: asyncio.TimerHandle | None = None
        self._cluster = cluster
        self._specs = specs
        self._started = asyncio.Event()
        self._failure: QuorateError | None = None
        # The place to begin at, until the journal has begun.
        self._start = start

    @property
    def failed(self) -> bool:
        """Whether the cluster refused it."""
        return self._failure is not None

    async def started(self) -> None:
        """Until the journal has begun. Raises QuorateError when the watch failed."""
        await self._started.wait()
        if self._failure is not None:
            raise self._failure

    async def run(self) -> None:
        """Follow until cancelled, or until the cluster refuses for good."""
        backoff = Backoff(0.05, 1.0, spread=0.5)
        while True:
            try:
                await self._follow()
                backoff.reset()
            except QuorateError as error:
                if _token_gone(error):
                    log.info("live_watch_restarted", queue=self.queue, error=str(error))
                    self._start = None
                    self._started.clear()
                elif not passes(error):
                    self._fail(error)
                    return
            await asyncio.sleep(backoff.next(random.random()))

    async def _follow(self) -> None:
        if self._started.is_set():
            token = self.journal.token.upstream
        else:
            token = self._start.upstream if self._start is not None else ""
        request = scheduler_pb2.WatchTasksRequest(
            queue=self.queue, resume_token=token, progress=True
        )
        answers = self._cluster.stream(WATCH_TASKS, request, timeout=None)
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(cast("Any", answers)), asyncio.timeout(SILENCE) as silence:
                async for answer in answers:
                    self._take(answer)
                    silence.reschedule(loop.time() + SILENCE)
        except TimeoutError:
            log.info("live_watch_silent", queue=self.queue, seconds=SILENCE)

    def _take(self, answer: scheduler_pb2.WatchTasksResponse) -> None:
        if not self._started.is_set():
            self._begin(answer)
        said = [event.task for event in answer.events if event.kind == _PROGRESS]
        if said:
            for holder in list(self.holders):
                holder.on_progress(said)
        if len(said) == len(answer.events):
            self.journal.renew(answer.resume_token, answer.revision)
            return
        entries = []
        for event in answer.events:
            if event.kind == _PROGRESS:
                continue
            for observe in self.observers:
                observe(event)
            remember(event, self._specs)
            entries.append(Entry(event))
        self.journal.append(entries, answer.resume_token)
        for holder in list(self.holders):
            holder.on_events(self)

    def _begin(self, answer: scheduler_pb2.WatchTasksResponse) -> None:
        again = self.journal.head > 0
        # The place is the cluster's to judge, and it did; the revision is a client's word.
        upstream = self._start.upstream if self._start else answer.resume_token
        self.journal.begin(Token(0, upstream), answer.revision)
        self._started.set()
        if again:
            for holder in list(self.holders):
                holder.on_restart(self)

    def _fail(self, error: QuorateError) -> None:
        self._failure = error
        self._started.set()
        for holder in list(self.holders):
            holder.on_failure(self, error)


def _token_gone(error: QuorateError) -> bool:
    """The cluster cannot go on from this place, or never was there."""
    if error.code is grpc.StatusCode.OUT_OF_RANGE:
        return True
    return error.code is grpc.StatusCode.INVALID_ARGUMENT and error.field == "resume_token"
