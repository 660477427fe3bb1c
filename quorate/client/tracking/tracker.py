"""Outcomes of many tasks by one watch stream and one thread.

The stream is opened, and its first token received, before the first task is submitted, so no
outcome can be missed; after any break, and when nothing is heard for `SILENCE` seconds, it resumes
behind the last token seen, on whichever scheduler answers. When the token is too old (OUT_OF_RANGE)
it begins anew and lists the queue's tasks once. When no scheduler answers for `retry_for` seconds,
every wait fails. A task that goes to another queue is followed there, by a tracker of that queue.

    submit --begin--> CreateTask/BatchCreateTasks --ids--> claim
                                 watch thread --events--> ledger --> sinks
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from quorate.client.pages import pages
from quorate.client.tracking.ledger import Ledger, Outcome, Sink
from quorate.client.tracking.outcome import TERMINAL, is_finished
from quorate.client.transport.calls import Calls
from quorate.client.transport.contact import explained
from quorate.client.transport.rpcs import GET_TASK, LIST_TASKS, WATCH_TASKS, TryAgain, judge
from quorate.client.transport.silence import Silence
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb

# Seconds of silence after which a watch is renewed behind its token. A scheduler says every second
# how far it is (an older one every 15 s), but a frozen one keeps a stream open for ever and says
# nothing: this bounds how long it is believed.
SILENCE = 5.0
# One stream, at most.
WATCH_DEADLINE = 3600.0
PAUSE = 0.05
PAGE = 1000
SILENT = QuorateError(
    grpc.StatusCode.DEADLINE_EXCEEDED, "WATCH_SILENT", f"the watch sent nothing for {SILENCE:g} s"
)


class Tracker:
    """Follows one queue. Owned by whoever submits to it; `close` ends the thread."""

    def __init__(self, calls: Calls, queue: str) -> None:
        self._calls = calls
        self._queue = queue
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._watching = threading.Event()
        self._closing = threading.Event()
        self._failure: QuorateError | None = None
        self._call: Any = None
        # Of queues to which tasks went that are waited for here. Owned.
        self._others: dict[str, Tracker] = {}
        self._thread = threading.Thread(
            target=self._run, name=f"quorate-watch-{queue}", daemon=True
        )
        self._thread.start()

    def submit(self, create: Callable[[], Sequence[str]], sinks: Sequence[Sink]) -> Sequence[str]:
        """Run `create`, which returns one id for each of `sinks`; each sink gets its outcome.

        Raises what `create` raises; no sink gets an outcome then.
        """
        self._watching.wait(self._calls.retry_for + SILENCE)
        with self._lock:
            self._check()
            ticket = self._ledger.begin()
        try:
            ids = create()
        except BaseException:
            with self._lock:
                self._ledger.end(ticket)
            raise
        with self._lock:
            ready, doubtful = self._ledger.claim(ticket, ids, sinks)
            failed = self.failed
            if failed is not None:
                ready += self._ledger.give_up(failed)
        deliver(ready)
        for task_id in doubtful:
            self._look_at(task_id)
        return ids

    def attend(self, ids: Sequence[str], sinks: Sequence[Sink]) -> None:
        """As `submit`, for tasks that exist already."""
        self.submit(lambda: ids, sinks)
        # What finished before the watch began is not in it.
        self.list_finished()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    @property
    def unfinished(self) -> list[str]:
        """Ids of tasks whose outcomes are still to come, the oldest first."""
        with self._lock:
            found = self._ledger.waiting
        for other in list(self._others.values()):
            found += other.unfinished
        return sorted(found)

    @property
    def failed(self) -> QuorateError | None:
        """Why it gave up; a new one may fare better."""
        return self._failure

    def close(self, *, timeout: float = 5.0) -> None:
        """End the stream; whoever still waits gets CANCELLED."""
        self._closing.set()
        self._stop_stream()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        for other in list(self._others.values()):
            other.close(timeout=timeout)
        self.give_up(
            QuorateError(grpc.StatusCode.CANCELLED, "CLIENT_CLOSED", "this client is closed")
        )

    def _stop_stream(self) -> None:
        call = self._call
        if call is not None:
            call.cancel()

    def _run(self) -> None:
        try:
            self._follow()
        except QuorateError as error:
            self.give_up(error)
        except Exception as error:
            # Our bug: nobody may be left waiting for ever because of it.
            self.give_up(
                QuorateError(grpc.StatusCode.INTERNAL, "WATCH_BROKEN", f"the watch failed: {error}")
            )
            raise

    def _follow(self) -> None:
        token, list_again, silent_since = "", False, time.monotonic()
        while not self._closing.is_set():
            request = pb.WatchTasksRequest(
                queue=self._queue, states=sorted(TERMINAL), resume_token=token
            )
            heard = False
            broken = QuorateError(grpc.StatusCode.UNAVAILABLE, "WATCH_ENDED", "the watch ended")
            with (
                self._calls.stream(WATCH_TASKS, request, deadline=WATCH_DEADLINE) as (
                    address,
                    call,
                ),
                Silence(call.cancel, SILENCE) as silence,
            ):
                self._call = call
                if self._closing.is_set():
                    return
                try:
                    for answer in call:
                        heard = True
                        self._calls.on_reached()
                        if list_again:
                            # Only now: what finishes after this listing is in the stream.
                            with self._lock:
                                self._ledger.on_gap()
                            self.list_finished()
                            list_again = False
                        token = answer.resume_token or token
                        self._deliver(answer)
                        self._watching.set()
                        silence.heard()
                except grpc.RpcError as error:
                    if self._closing.is_set():
                        return
                    if silence.ended:
                        broken = SILENT
                    elif error.code() is grpc.StatusCode.OUT_OF_RANGE:
                        token, list_again = "", True
                        continue
                    else:
                        verdict = judge(error)
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
            self._closing.wait(PAUSE)

    def _deliver(self, answer: pb.WatchTasksResponse) -> None:
        with self._lock:
            ready = self._ledger.on_events(answer.events)
            moved = self._ledger.take_moved()
        deliver(ready)
        self._go_after(moved)

    def _go_after(self, moved: list[tuple[str, Sink]]) -> None:
        """Tasks went to other queues: wait for them there. One that went elsewhere than the first
        is found by the tracker there."""
        queue = ""
        while moved and not queue:
            task_id, sink = moved[0]
            try:
                queue = self._calls.call(GET_TASK, pb.GetTaskRequest(id=task_id)).task.queue
            except QuorateError as error:
                sink(error)
                moved = moved[1:]
        if not moved:
            return
        ids, sinks = [one for one, _ in moved], [sink for _, sink in moved]
        other = self._tracker_of(queue)
        try:
            other.submit(lambda: ids, sinks)
        except QuorateError as error:
            deliver([(one, error) for one in sinks])
            return
        try:
            other.list_finished()
        except QuorateError as error:
            other.give_up(error)

    def _tracker_of(self, queue: str) -> Tracker:
        """One of a queue that works; of its own queue itself."""
        if queue == self._queue:
            return self
        other = self._others.get(queue)
        if other is None or other.failed is not None:
            other = self._others[queue] = Tracker(self._calls, queue)
        return other

    def list_finished(self) -> None:
        """Find outcomes that happened while no watch was open."""
        with self._lock:
            waiting = set(self._ledger.waiting)
        if not waiting:
            return
        oldest, seen = min(waiting), set[str]()
        request = pb.ListTasksRequest(queue=self._queue, page_size=PAGE)
        for answer in pages(self._calls, LIST_TASKS, request):
            for task in answer.tasks:
                seen.add(task.id)
                if is_finished(task):
                    self._settle(task.id, task)
            if answer.tasks and answer.tasks[-1].id < oldest:
                break
        for task_id in sorted(waiting - seen):
            self._look_at(task_id)

    def _look_at(self, task_id: str) -> None:
        try:
            task = self._calls.call(GET_TASK, pb.GetTaskRequest(id=task_id)).task
        except QuorateError as error:
            # NOT_FOUND: retention was faster than we were.
            self._settle(task_id, error)
            return
        if is_finished(task):
            self._settle(task_id, task)
        elif task.queue != self._queue:
            with self._lock:
                moved = self._ledger.take(task_id)
            self._go_after(moved)

    def _settle(self, task_id: str, outcome: Outcome) -> None:
        with self._lock:
            ready = self._ledger.settle(task_id, outcome)
        deliver(ready)

    def give_up(self, error: QuorateError) -> None:
        """Every wait fails."""
        with self._lock:
            if self._failure is None:
                self._failure = error
            ready = self._ledger.give_up(error)
        self._watching.set()
        deliver(ready)


def deliver(ready: Sequence[tuple[Sink, Outcome]]) -> None:
    """Tell each its outcome."""
    for sink, outcome in ready:
        sink(outcome)
