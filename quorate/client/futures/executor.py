"""`concurrent.futures` on a cluster.

    with quorate.Executor() as pool:             # was: ProcessPoolExecutor()
        print(sum(pool.map(work, items, chunksize=100)))

`submit` puts the call into a bounded queue and returns; one thread creates what has gathered
there in one batch, so that a loop of a million `submit`s is not a million round trips. Outcomes
come by the watch stream of the client's tracker. What waits, runs and is cancelled: `dispatch`.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as BaseExecutor
from pathlib import Path
from typing import Any, TypeVar, Unpack

from quorate.client.chunk import STAR_ENTRYPOINT
from quorate.client.client import Client
from quorate.client.errors import PayloadTooLarge
from quorate.client.futures.dispatch import Dispatch
from quorate.client.futures.future import ClusterFuture, cancel_all
from quorate.client.futures.mapping import map_eagerly
from quorate.client.maps.plan import ArrayPlan, serves
from quorate.client.transport.large import Held
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import DEFAULT_PAYLOAD_LIMIT, chunk_spec, python_spec
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

__all__ = ["ClusterFuture", "Executor"]

T = TypeVar("T")


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
        if self._options.request_id:
            raise invalid(
                "request_id",
                "is not allowed: an executor creates many tasks; each needs an id of its own",
            )
        self._limit = payload_limit
        self._most = max_workers
        owned = client is None
        client = client or Client(address, data_dir=data_dir, payload_limit=payload_limit)
        self._large = client.calls.large
        self._dispatch = Dispatch(client, owned=owned, queue=self._options.queue, most=max_workers)
        # Forgotten without `shutdown`: what was submitted is done, then its threads end.
        weakref.finalize(self, self._dispatch.shut_down).atexit = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> ClusterFuture[T]:
        """Have `fn(*args, **kwargs)` called on the cluster.

        Raises ArgumentNotSerialisable, PayloadTooLarge, RuntimeError after `shutdown`. Waits
        while 20,000 calls are unsent.
        """
        held = Held(self._limit)
        spec = python_spec(fn, args, kwargs, self._options, time.time(), held.keep)
        return self._enqueue(spec, held)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """As `Executor.map`: submits everything at once, values come in order.

        The calls are the subtasks of one array, which the cluster puts together by how long they
        take: `chunksize` has no effect. With options that subtasks do not have (such as
        `ordering_key`) they are tasks, each of `chunksize` items; see also `Client.map`. When an
        item fails, the time is up or the caller stops, the rest is cancelled, what runs included.
        For endless or huge inputs use `Client.map`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        calls: Iterator[tuple[Any, ...]] = zip(*iterables, strict=False)
        if serves(self._options):
            items = list(calls)
            try:
                plan = ArrayPlan(
                    fn, items, self._options, limit=self._limit, star=True, most=self._most or 0
                )
            except PayloadTooLarge:
                calls = iter(items)
            else:
                return map_eagerly(self._dispatch, plan, fn, self._options, end, limit=self._limit)
        futures: deque[ClusterFuture[list[T]]] = deque()
        while chunk := list(itertools.islice(calls, chunksize)):
            spec = chunk_spec(STAR_ENTRYPOINT, fn, chunk, self._options, time.time())
            futures.append(self._enqueue(spec))
        return _values(self._dispatch, futures, end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. As `Executor.shutdown`.

        `cancel_futures`: calls that wait, here or on the cluster, are cancelled, by one call for
        10,000 of them; those that run go on. `wait`: until every call has ended and its callbacks
        have run; in such a callback it does not wait, which would be for its own thread. Without
        `wait` the calls end in the background, and the interpreter waits for them when it exits.
        """
        self._dispatch.shut_down(recall=cancel_futures)
        if wait:
            self._dispatch.join()

    def _enqueue(self, spec: task_pb2.TaskSpec, held: Held | None = None) -> ClusterFuture[Any]:
        self._large.fit(spec, self._limit, held)
        return self._dispatch.enqueue(spec)


def _values(
    dispatch: Dispatch, futures: deque[ClusterFuture[list[T]]], end: float | None
) -> Iterator[T]:
    """Values in order; the rest is cancelled when the caller stops or something fails."""
    try:
        while futures:
            left = None if end is None else end - time.monotonic()
            values = futures[0].result(left)
            futures.popleft()
            # Nothing here refers to what was handed out: it may be large.
            values.reverse()
            while values:
                yield values.pop()
    finally:
        cancel_all(dispatch, list(futures))
