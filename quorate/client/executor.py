"""`concurrent.futures` on a cluster.

    with quorate.Executor() as pool:             # was: ProcessPoolExecutor()
        print(sum(pool.map(work, items, chunksize=100)))

`submit` puts the call into a bounded queue and returns; one thread creates what has gathered
there in one batch, so that a loop of a million `submit`s is not a million round trips. Outcomes
come by the watch stream of the client's tracker. Owned threads: one here, one in the tracker.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as BaseExecutor
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

from quorate.client.chunk import STAR_ENTRYPOINT
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.client.ledger import Outcome
from quorate.client.mapper import cancel_all, create_batch
from quorate.client.mapping import MOST_BATCH_BYTES
from quorate.client.options import OptionArgs, TaskOptions
from quorate.client.outcome import value_of
from quorate.client.specs import DEFAULT_PAYLOAD_LIMIT, check_size, chunk_spec, python_spec
from quorate.v1 import task_pb2

T = TypeVar("T")

# Calls that were not sent yet; past it `submit` waits.
MOST_UNSENT = 20_000
_MOST_PER_BATCH = 2000
# Seconds that `cancel` waits for a running attempt to be ended.
_CANCEL_WAIT = 10.0


class ClusterFuture(Future[T]):
    """A future whose call runs on the cluster. `task_id` is set once it was created there."""

    def __init__(self, executor: Executor) -> None:
        super().__init__()
        self._executor = executor
        self.task_id = ""
        self._settled = False

    def cancel(self) -> bool:
        """Cancel the call, also one that runs: its attempt is ended. True if it is cancelled."""
        if self.done():
            return self.cancelled()
        return self._executor._cancel(self)

    def running(self) -> bool:
        """Whether an attempt is under way (asks the cluster)."""
        if self.done() or not self.task_id:
            return False
        return self._executor._handle(self.task_id).status() == "RUNNING"

    def _cancelled(self) -> None:
        """Cancelled before or on the cluster: tell those who wait."""
        if super().cancel():
            self.set_running_or_notify_cancel()

    def _settle(self, outcome: Outcome) -> None:
        """The outcome is known. The first one counts: `cancel` and the watch may both bring it."""
        with self._condition:
            if self._settled:
                return
            self._settled = True
        if isinstance(outcome, BaseException):
            self.set_exception(outcome)
        elif outcome.state == task_pb2.TASK_STATE_CANCELLED:
            self._cancelled()
        else:
            self._finish(outcome)

    def _finish(self, task: task_pb2.Task) -> None:
        try:
            value = value_of(task)
        except BaseException as error:  # noqa: BLE001 - the task's own, or its unpickling's
            self.set_exception(error)
        else:
            self.set_result(value)


class Executor(BaseExecutor):
    """A drop-in for `ProcessPoolExecutor`, running on a cluster.

    * `max_workers`: at most so many of this executor's calls on the cluster at once (None: no
      bound of its own).
    * `client`: use this one and leave it open; otherwise one is opened with `address`,
      `data_dir`, and closed by `shutdown`.
    * further keyword arguments are task options: `queue=`, `retries=`, `timeout=`, ...

    Not taken: `initializer`, `mp_context`, `max_tasks_per_child`; workers belong to the nodes and
    outlive the pool. Futures raise the function's own exception, with the traceback on the node as
    a note.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        client: Client | None = None,
        address: str | None = None,
        data_dir: str | Path | None = None,
        payload_limit: int = DEFAULT_PAYLOAD_LIMIT,
        **options: Unpack[OptionArgs],
    ) -> None:
        if max_workers is not None and max_workers < 1:
            raise ValueError("max_workers must be greater than 0")
        self._options = TaskOptions().but(options)
        self._owned = client is None
        self._client = client or Client(address, data_dir=data_dir, payload_limit=payload_limit)
        self._limit = payload_limit
        self._most = max_workers
        self._changed = threading.Condition()
        self._unsent: deque[tuple[ClusterFuture[Any], task_pb2.TaskSpec]] = deque()
        self._sent: weakref.WeakSet[ClusterFuture[Any]] = weakref.WeakSet()
        self._in_flight = 0
        self._shut_down = False
        self._thread = threading.Thread(target=self._send, name="quorate-executor", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> ClusterFuture[T]:
        """Have `fn(*args, **kwargs)` called on the cluster.

        Raises ArgumentNotSerialisable, PayloadTooLarge, RuntimeError after `shutdown`. Waits
        while 20,000 calls are unsent.
        """
        return self._enqueue(python_spec(fn, args, kwargs, self._options, time.time()))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """As `Executor.map`: submits everything at once, values come in order.

        `chunksize` items travel in one task. For endless or huge inputs use `Client.map`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)
        futures: deque[ClusterFuture[list[T]]] = deque()
        while chunk := list(itertools.islice(calls, chunksize)):
            spec = chunk_spec(STAR_ENTRYPOINT, fn, chunk, self._options, time.time())
            futures.append(self._enqueue(spec))
        return _values(futures, end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. `wait`: until all are finished; `cancel_futures`: cancel them.

        Calls that are already on the cluster go on there, whatever becomes of this process.
        """
        with self._changed:
            self._shut_down = True
            unsent = [future for future, _ in self._unsent] if cancel_futures else []
            if cancel_futures:
                self._unsent.clear()
            self._changed.notify_all()
        for future in unsent:
            future._cancelled()
        if cancel_futures:
            pending = [future.task_id for future in list(self._sent) if not future.done()]
            cancel_all(self._client.calls, pending)
        if wait:
            self._thread.join()
            with self._changed:
                self._changed.wait_for(lambda: self._in_flight == 0)
            if self._owned:
                self._client.close()

    def _enqueue(self, spec: task_pb2.TaskSpec) -> ClusterFuture[Any]:
        check_size(spec, self._limit)
        future: ClusterFuture[Any] = ClusterFuture(self)
        with self._changed:
            self._changed.wait_for(lambda: len(self._unsent) < MOST_UNSENT or self._shut_down)
            if self._shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._unsent.append((future, spec))
            self._changed.notify_all()
        return future

    def _send(self) -> None:
        """The sending thread: whatever gathered goes in one batch."""
        while True:
            with self._changed:
                self._changed.wait_for(self._may_send)
                batch = self._next_batch()
                if not batch and self._shut_down and not self._unsent:
                    return
                self._in_flight += len(batch)
                self._changed.notify_all()
            if batch:
                self._create(batch)

    def _may_send(self) -> bool:
        if not self._unsent:
            return self._shut_down
        return self._most is None or self._in_flight < self._most

    def _next_batch(self) -> list[tuple[ClusterFuture[Any], task_pb2.TaskSpec]]:
        room = _MOST_PER_BATCH
        if self._most is not None:
            room = min(room, self._most - self._in_flight)
        batch: list[tuple[ClusterFuture[Any], task_pb2.TaskSpec]] = []
        size = 0
        while self._unsent and len(batch) < room and size < MOST_BATCH_BYTES:
            batch.append(self._unsent.popleft())
            size += batch[-1][1].ByteSize()
        return batch

    def _create(self, batch: list[tuple[ClusterFuture[Any], task_pb2.TaskSpec]]) -> None:
        queue, specs = self._options.queue, [spec for _, spec in batch]
        futures = [future for future, _ in batch]

        def create() -> list[str]:
            ids = list(create_batch(self._client.calls, queue, specs))
            for future, task_id in zip(futures, ids, strict=True):
                future.task_id = task_id
            self._sent.update(futures)
            return ids

        try:
            sinks = [partial(self._on_outcome, future) for future in futures]
            self._client.tracker(queue).submit(create, sinks)
        except Exception as error:  # noqa: BLE001 - it is every future's outcome, not the thread's
            for future in futures:
                self._on_outcome(future, error)

    def _on_outcome(self, future: ClusterFuture[Any], outcome: Outcome) -> None:
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()
        future._settle(outcome)

    def _cancel(self, future: ClusterFuture[Any]) -> bool:
        with self._changed:
            for index, (unsent, _) in enumerate(self._unsent):
                if unsent is future:
                    del self._unsent[index]
                    self._changed.notify_all()
                    break
            else:
                index = -1
        if index >= 0:
            future._cancelled()
            return True
        if not future.task_id:
            return False  # being sent at this very moment
        handle = self._handle(future.task_id)
        if not handle.cancel():
            return False
        try:
            outcome = handle.wait(_CANCEL_WAIT)
        except TimeoutError:
            return False
        future._settle(outcome)
        return future.cancelled()

    def _handle(self, task_id: str) -> TaskHandle[Any]:
        return self._client.get(task_id)


def _values(futures: deque[ClusterFuture[list[T]]], end: float | None) -> Iterator[T]:
    """Values in order; the rest is cancelled when the caller stops or something fails."""
    try:
        while futures:
            left = None if end is None else end - time.monotonic()
            yield from futures[0].result(left)
            futures.popleft()
    finally:
        for future in futures:
            future.cancel()
