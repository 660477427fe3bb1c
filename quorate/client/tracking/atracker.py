"""Outcomes of many tasks by one watch stream and one coroutine. The twin of `tracker`.

Same rules: the stream is open before the first submission, resumes behind its token, lists once
when the token is too old, and all waits fail when nobody answers for `retry_for` seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import grpc

from quorate.client.pages import apages
from quorate.client.tracking.ledger import Ledger, Outcome, Sink
from quorate.client.tracking.outcome import TERMINAL, is_finished
from quorate.client.tracking.tracker import PAGE, PAUSE, SILENCE, SILENT, WATCH_DEADLINE, deliver
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.contact import explained
from quorate.client.transport.rpcs import GET_TASK, LIST_TASKS, WATCH_TASKS, TryAgain, judge
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb


class AsyncTracker:
    """Follows one queue. Its task is owned here; `close` ends it."""

    def __init__(self, calls: AsyncCalls, queue: str) -> None:
        self._calls = calls
        self._queue = queue
        self._ledger = Ledger()
        self._watching = asyncio.Event()
        self.failed: QuorateError | None = None
        # Of queues to which tasks went that are waited for here. Owned.
        self._others: dict[str, AsyncTracker] = {}
        self._task = asyncio.create_task(self._run(), name=f"quorate-watch-{queue}")

    async def submit(
        self, create: Callable[[], Awaitable[Sequence[str]]], sinks: Sequence[Sink]
    ) -> Sequence[str]:
        """Run `create`, which returns one id for each of `sinks`; each sink gets its outcome."""
        await self._watching.wait()
        self._check()
        ticket = self._ledger.begin()
        try:
            ids = await create()
        except BaseException:
            self._ledger.end(ticket)
            raise
        ready, doubtful = self._ledger.claim(ticket, ids, sinks)
        failed = self.failed
        if failed is not None:
            ready += self._ledger.give_up(failed)
        deliver(ready)
        for task_id in doubtful:
            await self._look_at(task_id)
        return ids

    def _check(self) -> None:
        if self.failed is not None:
            raise self.failed

    async def close(self) -> None:
        """End the stream; whoever still waits gets CANCELLED."""
        self._task.cancel()
        await asyncio.wait([self._task])
        for other in self._others.values():
            await other.close()
        self.give_up(
            QuorateError(grpc.StatusCode.CANCELLED, "CLIENT_CLOSED", "this client is closed")
        )

    async def _run(self) -> None:
        try:
            await self._follow()
        except QuorateError as error:
            self.give_up(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self.give_up(
                QuorateError(grpc.StatusCode.INTERNAL, "WATCH_BROKEN", f"the watch failed: {error}")
            )
            raise

    async def _follow(self) -> None:
        token, list_again, silent_since = "", False, time.monotonic()
        loop = asyncio.get_running_loop()
        while True:
            request = pb.WatchTasksRequest(
                queue=self._queue, states=sorted(TERMINAL), resume_token=token
            )
            heard = False
            broken = QuorateError(grpc.StatusCode.UNAVAILABLE, "WATCH_ENDED", "the watch ended")
            stream = self._calls.stream(WATCH_TASKS, request, deadline=WATCH_DEADLINE)
            async with stream as (address, call):
                try:
                    async with asyncio.timeout(SILENCE) as silence:
                        async for answer in call:
                            heard = True
                            self._calls.on_reached()
                            # What is done with it takes as long as it takes.
                            silence.reschedule(None)
                            if list_again:
                                # Only now: what finishes after this listing is in the stream.
                                self._ledger.on_gap()
                                await self.list_finished()
                                list_again = False
                            token = answer.resume_token or token
                            deliver(self._ledger.on_events(answer.events))
                            await self._go_after(self._ledger.take_moved())
                            self._watching.set()
                            silence.reschedule(loop.time() + SILENCE)
                except TimeoutError:
                    broken = SILENT
                except grpc.RpcError as error:
                    verdict = judge(error)
                    if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                        token, list_again = "", True
                        continue
                    if not isinstance(verdict, TryAgain):
                        raise explained(verdict, address) from error
                    broken = verdict.error
            now = time.monotonic()
            if heard:
                silent_since = now
                if broken.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    continue
            self._calls.on_failure(address, broken)
            if now - silent_since >= self._calls.gives_up_after(broken):
                raise explained(broken, address)
            await asyncio.sleep(PAUSE)

    async def list_finished(self) -> None:
        """Find outcomes that happened while no watch was open."""
        waiting = set(self._ledger.waiting)
        if not waiting:
            return
        oldest, seen = min(waiting), set[str]()
        request = pb.ListTasksRequest(queue=self._queue, page_size=PAGE)
        async for answer in apages(self._calls, LIST_TASKS, request):
            for task in answer.tasks:
                seen.add(task.id)
                if is_finished(task):
                    self._settle(task.id, task)
            if answer.tasks and answer.tasks[-1].id < oldest:
                break
        for task_id in sorted(waiting - seen):
            await self._look_at(task_id)

    async def _look_at(self, task_id: str) -> None:
        try:
            task = (await self._calls.call(GET_TASK, pb.GetTaskRequest(id=task_id))).task
        except QuorateError as error:
            self._settle(task_id, error)
            return
        if is_finished(task):
            self._settle(task_id, task)
        elif task.queue != self._queue:
            await self._go_after(self._ledger.take(task_id))

    async def _go_after(self, moved: list[tuple[str, Sink]]) -> None:
        queue = ""
        while moved and not queue:
            task_id, sink = moved[0]
            try:
                found = await self._calls.call(GET_TASK, pb.GetTaskRequest(id=task_id))
                queue = found.task.queue
            except QuorateError as error:
                sink(error)
                moved = moved[1:]
        if not moved:
            return
        ids, sinks = [one for one, _ in moved], [sink for _, sink in moved]
        other = self._tracker_of(queue)

        async def known() -> Sequence[str]:
            return ids

        try:
            await other.submit(known, sinks)
        except QuorateError as error:
            deliver([(one, error) for one in sinks])
            return
        try:
            await other.list_finished()
        except QuorateError as error:
            other.give_up(error)

    def _tracker_of(self, queue: str) -> AsyncTracker:
        if queue == self._queue:
            return self
        other = self._others.get(queue)
        if other is None or other.failed is not None:
            other = self._others[queue] = AsyncTracker(self._calls, queue)
        return other

    def _settle(self, task_id: str, outcome: Outcome) -> None:
        deliver(self._ledger.settle(task_id, outcome))

    def give_up(self, error: QuorateError) -> None:
        """Every wait fails."""
        if self.failed is None:
            self.failed = error
        self._watching.set()
        deliver(self._ledger.give_up(error))
