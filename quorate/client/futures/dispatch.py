"""The engine behind an `Executor`: what waits to be sent, is on the cluster, or is withdrawn.

    submit --> unsent --sending thread, one batch--> under way --tracker--> outcome
                  |                                      |
    cancel        +--> never sent                        +--> withdrawn --cancelling thread--> one
                                                              CancelTasks for all that gathered

The sending thread lives from the executor's birth until it is shut down, or forgotten, and nothing
is under way; then it closes a client of its own. `join` is waiting for it. The cancelling thread
lives while there is something to cancel. Neither holds the executor: one that nobody refers to any
longer finishes its calls and goes, as with `ProcessPoolExecutor`.

When the interpreter exits, all dispatches are shut down and joined before it ends, by the hook that
the standard library's executors use.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import IO, Any, Protocol

from quorate.client.client import Client
from quorate.client.futures.future import ClusterFuture
from quorate.client.mapping.bulk import give_up
from quorate.client.mapping.mapper import batch_of, send_batch
from quorate.client.mapping.plan import MOST_BATCH_BYTES
from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.waiting import BRIEF_SECONDS, is_brief, waiting
from quorate.client.unplaceable import UnplaceableWarning, warn_unplaceable
from quorate.v1 import task_pb2

# Calls that were not sent yet; past it `submit` waits.
MOST_UNSENT = 20_000
_MOST_PER_BATCH = 2000

# Where the standard library says so of other exceptions.
_logger = logging.getLogger("concurrent.futures")

AnyFuture = ClusterFuture[Any]

# Joined at exit. Each is here while its sending thread lives.
_live: set[Dispatch] = set()
_exiting = False


class MapThread(Protocol):
    """A map that runs in a thread of its own."""

    def start(self, ended: Callable[[MapThread], object]) -> None:
        """Begin; `ended` is called at its end, in its thread."""

    def recall(self) -> None:
        """Cancel what has not begun; never waits."""


class _Delivering(threading.local):
    """Which clients' outcomes this thread is telling right now."""

    def __init__(self) -> None:
        self.clients: list[object] = []


_delivering = _Delivering()


class Dispatch:
    """One executor's calls. Thread-safe.

    Args:
        client: for all of them; `owned`: closed when the last call has ended.
        queue: where tasks are created.
        most: calls on the cluster at once; None: no bound of its own.
    """

    def __init__(self, client: Client, *, owned: bool, queue: str, most: int | None) -> None:
        self._client = client
        self._owned = owned
        self._queue = queue
        self._most = most
        # Its lock is an RLock: an executor may be forgotten, which comes here, at any moment.
        self._changed = threading.Condition()
        self._unsent: OrderedDict[AnyFuture, task_pb2.TaskSpec] = OrderedDict()
        # Taken from `unsent`, and without an outcome.
        self._under_way: set[AnyFuture] = set()
        # Ids to cancel: whatever their state, and only those that wait.
        self._withdrawn: dict[str, None] = {}
        self._recalled: dict[str, None] = {}
        self._cancelling = False
        self._recalling = False
        self._shut_down = False
        # Maps under way, each in a thread of its own.
        self._maps: dict[MapThread, None] = {}
        self._thread = threading.Thread(target=self._send, name="quorate-executor", daemon=True)
        if _exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        _live.add(self)
        self._thread.start()

    def enqueue(self, spec: task_pb2.TaskSpec) -> AnyFuture:
        """A future for a call that is sent soon. Waits while 20,000 calls are unsent.

        Raises RuntimeError after `shut_down`.
        """
        future: AnyFuture = ClusterFuture(self)
        with self._changed:
            # A callback must not wait: the calls before it may need its thread to go on.
            while len(self._unsent) >= MOST_UNSENT and not self._shut_down and not self._tells():
                with waiting():
                    self._changed.wait()
            self._refuse_when_shut_down()
            self._unsent[future] = spec
            self._changed.notify_all()
        return future

    @property
    def client(self) -> Client:
        """For all of its calls."""
        return self._client

    def begin(self, made: MapThread) -> None:
        """Have a map run; it is waited for as calls are. Raises RuntimeError after `shut_down`."""
        with self._changed:
            self._refuse_when_shut_down()
            self._maps[made] = None
        made.start(self._ended)

    def _ended(self, made: MapThread) -> None:
        with self._changed:
            self._maps.pop(made, None)
            self._changed.notify_all()

    def _refuse_when_shut_down(self) -> None:
        if self._shut_down:
            exit_ = "interpreter " if _exiting else ""
            raise RuntimeError(f"cannot schedule new futures after {exit_}shutdown")

    def shut_down(self, *, recall: bool = False) -> None:
        """Take no more calls. `recall`: those that no attempt of has begun are cancelled."""
        unsent: list[AnyFuture] = []
        with self._changed:
            self._shut_down = True
            if recall:
                self._recalling = True
                unsent = list(self._unsent)
                self._unsent.clear()
                # Those that are being sent have no id yet: `_sent` sees to them.
                self._recalled.update((f.task_id, None) for f in self._under_way if f.task_id)
            maps = list(self._maps) if recall else []
            self._changed.notify_all()
        for made in maps:
            made.recall()
        self._start_cancelling()
        for future in unsent:
            if future._decide("cancelled"):
                future._become_cancelled()

    def join(self) -> None:
        """Wait until every call has ended; not in a callback of one of them."""
        if not self._tells() and threading.current_thread() is not self._thread:
            if not is_brief(None):
                self._thread.join(BRIEF_SECONDS)
            if not self._thread.is_alive():
                return
            with waiting():
                self._thread.join()

    # -- for futures

    def withdraw(self, futures: Iterable[AnyFuture]) -> None:
        """See `future.Owner`."""
        with self._changed:
            for future in futures:
                sent = self._unsent.pop(future, None) is None and future in self._under_way
                # One that is being sent has no id yet: `_sent` sees to it.
                if sent and future.task_id:
                    self._withdrawn[future.task_id] = None
            self._changed.notify_all()
        self._start_cancelling()

    def is_running(self, task_id: str) -> bool:
        """See `future.Owner`."""
        return self._client.get(task_id).status() == "RUNNING"

    def large(self, ref: task_pb2.BlobRef) -> IO[bytes]:
        """See `future.Owner`."""
        return self._client.calls.large.get(ref)

    # -- the sending thread

    def _send(self) -> None:
        """Whatever gathered goes in one batch; then wait for what is under way."""
        try:
            while self._send_next():
                pass
            with self._changed:
                self._changed.wait_for(self._is_idle)
            if self._owned:
                self._client.close()
        finally:
            _live.discard(self)

    def _is_idle(self) -> bool:
        return not (self._under_way or self._cancelling or self._maps)

    def _send_next(self) -> bool:
        """False when nothing is to come. What it sent is forgotten as it returns."""
        batch = self._take()
        if batch:
            self._create(batch)
        return bool(batch)

    def _take(self) -> list[tuple[AnyFuture, task_pb2.TaskSpec]]:
        """The next batch, once there may be one; empty when there is none to come."""
        batch: list[tuple[AnyFuture, task_pb2.TaskSpec]] = []
        with self._changed:
            self._changed.wait_for(self._may_send)
            room = _MOST_PER_BATCH
            if self._most is not None:
                room = min(room, self._most - len(self._under_way))
            size = 0
            while self._unsent and len(batch) < room and size < MOST_BATCH_BYTES:
                batch.append(self._unsent.popitem(last=False))
                size += batch[-1][1].ByteSize()
            self._under_way.update(future for future, _ in batch)
            self._changed.notify_all()
        return batch

    def _may_send(self) -> bool:
        if not self._unsent:
            return self._shut_down
        return self._most is None or len(self._under_way) < self._most

    def _create(self, batch: list[tuple[AnyFuture, task_pb2.TaskSpec]]) -> None:
        specs = [spec for _, spec in batch]
        futures = [future for future, _ in batch]

        def create() -> list[str]:
            answer = send_batch(self._client.calls, batch_of(self._queue, specs))
            self._sent(futures, answer.ids)
            with contextlib.suppress(UnplaceableWarning):
                warn_unplaceable(answer.warnings)
            return list(answer.ids)

        try:
            sinks = [partial(self._on_outcome, future) for future in futures]
            self._client.tracker(self._queue).submit(create, sinks)
        except Exception as error:  # noqa: BLE001 - it is every future's outcome, not the thread's
            for future in futures:
                self._on_outcome(future, error)

    def _sent(self, futures: list[AnyFuture], ids: Sequence[str]) -> None:
        """They are on the cluster; some may have been cancelled while they were sent."""
        with self._changed:
            for future, task_id in zip(futures, ids, strict=True):
                future.task_id = task_id
                if future._decided == "cancelled":
                    self._withdrawn[task_id] = None
                elif self._recalling:
                    self._recalled[task_id] = None
        self._start_cancelling()

    def _on_outcome(self, future: AnyFuture, outcome: Outcome) -> None:
        clients = _delivering.clients
        clients.append(self._client.calls)
        try:
            # First: who joins finds every future done.
            future._settle(outcome)
        except BaseException:
            # A callback that exits: this thread reports the outcomes of all others, too.
            _logger.exception("exception calling callback for %r", future)
        finally:
            clients.pop()
            with self._changed:
                self._under_way.discard(future)
                self._changed.notify_all()

    def _tells(self) -> bool:
        """Whether this thread is telling an outcome, and calls of this client need it back."""
        return self._client.calls in _delivering.clients

    # -- the cancelling thread

    def _start_cancelling(self) -> None:
        """Have a thread see to what is to be cancelled."""
        with self._changed:
            if self._cancelling or not (self._withdrawn or self._recalled):
                return
            self._cancelling = True
        # Not under the lock: a thread takes locks of its own to start.
        threading.Thread(target=self._cancel, name="quorate-cancel", daemon=True).start()

    def _cancel(self) -> None:
        seconds = self._client.calls.retry_for + 1.0
        while True:
            with self._changed:
                withdrawn, recalled = list(self._withdrawn), list(self._recalled)
                self._withdrawn.clear()
                self._recalled.clear()
                if not withdrawn and not recalled:
                    self._cancelling = False
                    self._changed.notify_all()
                    return
            # Best effort: a task whose cancel is lost ends by itself, and is waited for.
            give_up(self._client.calls, recalled, seconds=seconds, waiting_only=True)
            give_up(self._client.calls, withdrawn, seconds=seconds)


def _at_exit() -> None:
    """The interpreter ends: what was submitted is done first."""
    global _exiting
    _exiting = True
    for dispatch in list(_live):
        dispatch.shut_down()
    for dispatch in list(_live):
        dispatch.join()


# As `concurrent.futures.process` does it: before non-daemon threads are joined, while threads can
# still be started. Not public; without it, a little later.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
