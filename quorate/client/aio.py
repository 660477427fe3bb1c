"""The asyncio client: `Client`'s methods as coroutines and asynchronous iterators.

async with AsyncClient() as client:
    handle = await client.submit(pow, 2, 10)
    print(await handle)
    async for value in client.map(len, words): ...
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ParamSpec, TypeVar, Unpack, overload

import grpc

from quorate.client.ahandle import AsyncTaskHandle
from quorate.client.cluster.methods import AsyncClusterMethods
from quorate.client.control.amany import AsyncManyTasks
from quorate.client.errors import PayloadTooLarge
from quorate.client.graphs.methods import AsyncGraphMethods
from quorate.client.jobs.amethods import AsyncJobMethods
from quorate.client.mapping import abulk
from quorate.client.mapping.mapper import CANCEL_SECONDS
from quorate.client.mapping.plan import Chunk, MapPlan
from quorate.client.maps.arun import AsyncArrayMap
from quorate.client.maps.plan import ArrayPlan, serves
from quorate.client.messages.amethods import AsyncMessageMethods
from quorate.client.messages.streams.open_streams import OpenStreams
from quorate.client.schedules.amethods import AsyncSchedules
from quorate.client.tracking.atracker import AsyncTracker
from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.outcome import (
    is_large,
    is_pickled,
)
from quorate.client.tracking.waiting import waiting
from quorate.client.transport.acalls import AsyncCalls
from quorate.client.transport.contact import DEFAULT_CONNECT_FOR
from quorate.client.transport.discovery import find_access
from quorate.client.transport.large import Held
from quorate.client.transport.rpcs import (
    BATCH_CREATE_TASKS,
    CREATE_TASK,
    DEFAULT_RETRY_FOR,
    GET_CLUSTER,
    HELD_BACK,
    new_request_id,
)
from quorate.client.unplaceable import warn_unplaceable
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import (
    DEFAULT_PAYLOAD_LIMIT,
    Argument,
    Work,
    check_payload_limit,
    command_spec,
    json_spec,
    python_spec,
)
from quorate.client.work.texts import text_of
from quorate.runtime.errors import QuorateError
from quorate.security.tls.dialer import ClientTls
from quorate.v1 import cluster_pb2, scheduler_pb2, task_pb2

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient(
    AsyncManyTasks, AsyncJobMethods, AsyncGraphMethods, AsyncClusterMethods, AsyncMessageMethods
):
    """A connection to a cluster for one event loop. Arguments and guarantees as `Client`'s."""

    def __init__(
        self,
        address: str | None = None,
        *,
        data_dir: str | Path | None = None,
        tls: ClientTls | None = None,
        token: str | None = None,
        token_file: str | Path | None = None,
        retry_for: float = DEFAULT_RETRY_FOR,
        connect_for: float = DEFAULT_CONNECT_FOR,
        payload_limit: int = DEFAULT_PAYLOAD_LIMIT,
    ) -> None:
        check_payload_limit(payload_limit)
        access = find_access(address, data_dir, tls=tls, token=token, token_file=token_file)
        self._calls = AsyncCalls(access, retry_for=retry_for, connect_for=connect_for)
        self._trackers: dict[str, AsyncTracker] = {}
        self._open_streams = OpenStreams()
        self._limit = payload_limit
        self._options = TaskOptions()
        self._parent: scheduler_pb2.ParentTask | None = None

    def options(self, **changes: Unpack[OptionArgs]) -> AsyncClient:
        """This client with other task options (see `TaskOptions`); connections are shared."""
        other = AsyncClient.__new__(AsyncClient)
        other._calls = self._calls
        other._trackers = self._trackers
        other._open_streams = self._open_streams
        other._limit = self._limit
        other._options = self._options.but(changes)
        other._parent = self._parent
        return other

    def adding_to(self, parent: scheduler_pb2.ParentTask) -> AsyncClient:
        """As `Client.adding_to`; see `quorate.async_current`."""
        other = self.options()
        other._parent = parent
        return other

    @property
    def calls(self) -> AsyncCalls:
        """The transport, for calls that have no method here."""
        return self._calls

    @property
    def _streams(self) -> OpenStreams:
        return self._open_streams

    @property
    def task_options(self) -> TaskOptions:
        """The options that tasks of this client get."""
        return self._options

    @property
    def schedules(self) -> AsyncSchedules:
        """As `Client.schedules`."""
        return AsyncSchedules(self._calls, self._options)

    @overload
    async def submit(
        self, work: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncTaskHandle[R]: ...
    @overload
    async def submit(
        self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncTaskHandle[R]: ...
    @overload
    async def submit(self, work: str, /, *args: Any, **kwargs: Any) -> AsyncTaskHandle[Any]: ...
    async def submit(self, work: Work, /, *args: Any, **kwargs: Any) -> AsyncTaskHandle[Any]:
        """As `Client.submit`."""
        held = Held(self._limit)
        spec = python_spec(work, args, kwargs, self._options, time.time(), held.keep)
        return await self._create(spec, held)

    async def submit_json(self, entrypoint: str, arguments: Any = ()) -> AsyncTaskHandle[Any]:
        """As `Client.submit_json`."""
        return await self._create(json_spec(entrypoint, arguments, self._options, time.time()))

    async def command(
        self,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        stdin: bytes | str = b"",
        secrets: Mapping[str, str] | None = None,
    ) -> AsyncTaskHandle[int]:
        """As `Client.command`."""
        held = Held(self._limit)
        spec = command_spec(
            argv,
            self._options,
            time.time(),
            env=env,
            cwd=cwd,
            stdin=stdin,
            secrets=secrets,
            keep=held.keep,
        )
        return await self._create(spec, held)

    def map(
        self, work: Work, items: Iterable[Any], *, chunk: int | None = None
    ) -> AsyncIterator[Any]:
        """As `Client.map`. Bound it in time with `asyncio.timeout`."""
        if chunk is None and serves(self._options):
            return self._map_array(work, items)
        return self._map(work, items, chunk, ordered=True)

    def map_unordered(
        self, work: Work, items: Iterable[Any], *, chunk: int | None = None
    ) -> AsyncIterator[Any]:
        """As `map`, values coming as they are ready; always by tasks."""
        return self._map(work, items, chunk, ordered=False)

    def get(self, task_id: str) -> AsyncTaskHandle[Any]:
        """A handle of any task; whether it exists is seen when it is used."""
        return AsyncTaskHandle(self._calls, text_of("id", task_id))

    async def cluster(self) -> cluster_pb2.Cluster:
        """Leader, epoch, members and sizes."""
        return (await self._calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest())).cluster

    async def caller(self) -> cluster_pb2.Caller:
        """As `Client.caller`."""
        return (await self._calls.call(GET_CLUSTER, scheduler_pb2.GetClusterRequest())).caller

    async def close(self) -> None:
        """Close all connections, also of clients made by `options`."""
        for stream in self._open_streams.take():
            await stream.close()
        trackers = list(self._trackers.values())
        self._trackers.clear()
        for tracker in trackers:
            await tracker.close()
        await self._calls.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _create(
        self, spec: task_pb2.TaskSpec, held: Held | None = None
    ) -> AsyncTaskHandle[Any]:
        await self._calls.large.fit(spec, self._limit, held)
        request = scheduler_pb2.CreateTaskRequest(
            queue=self._options.queue,
            spec=spec,
            request_id=self._options.request_id or new_request_id(),
            parent=self._parent,
        )
        answer = await self._calls.call(CREATE_TASK, request)
        warn_unplaceable((answer.task.pending_reason,))
        return AsyncTaskHandle(self._calls, answer.task.id, pickled=is_pickled(spec))

    def _map_array(self, work: Work, items: Iterable[Any]) -> AsyncIterator[Any]:
        def as_tasks(rest: Iterable[Any]) -> AsyncIterator[Any]:
            return self._map(work, rest, None, ordered=True)

        try:
            plan = ArrayPlan(work, items, self._options, limit=self._limit)
        except PayloadTooLarge:
            return as_tasks(items)
        return AsyncArrayMap(self._calls, plan, self._options.queue, as_tasks).values()

    async def _map(
        self, work: Work, items: Iterable[Any], chunk: int | None, *, ordered: bool
    ) -> AsyncIterator[Any]:
        # Large results, read before the plan asks for them: it does not wait.
        read: dict[str, IO[bytes]] = {}
        plan = MapPlan.of(
            work,
            items,
            self._options,
            limit=self._limit,
            chunk=chunk,
            ordered=ordered,
            large=lambda ref: read.pop(ref.upload),
        )
        # Bounded by the plan: never more than its chunks in flight.
        arrived: asyncio.Queue[tuple[Chunk, Outcome]] = asyncio.Queue()
        creating: set[asyncio.Task[None]] = set()
        try:
            while plan.is_under_way():
                if batch := plan.batch():
                    # Goes on when this coroutine is cancelled: only its answer says which tasks
                    # there are to be cancelled.
                    task = asyncio.ensure_future(self._submit_chunks(batch, arrived))
                    creating.add(task)
                    await asyncio.shield(task)
                    creating.clear()
                for value in plan.values():
                    yield value
                if not plan.is_under_way():
                    return
                if arrived.empty():
                    with waiting():
                        arrived.put_nowait(await arrived.get())
                while not arrived.empty():
                    taken, outcome = arrived.get_nowait()
                    if isinstance(outcome, task_pb2.Task) and is_large(outcome):
                        ref = outcome.result.blob
                        read[ref.upload] = await self._calls.large.get(ref)
                    plan.on_outcome(taken, outcome)
        finally:
            # Shielded, within its bound: whoever cancels this coroutine wants the tasks ended.
            await asyncio.shield(self._give_up(plan, creating))

    async def _submit_chunks(
        self,
        batch: list[tuple[Chunk, task_pb2.TaskSpec]],
        arrived: asyncio.Queue[tuple[Chunk, Outcome]],
    ) -> None:
        for _, spec in batch:
            await self._calls.large.fit(spec, self._limit)
        request = scheduler_pb2.BatchCreateTasksRequest(
            queue=self._options.queue,
            specs=[spec for _, spec in batch],
            request_id=new_request_id(),
        )
        sinks = [partial(_arrive, arrived, chunk) for chunk, _ in batch]
        reasons: list[str] = []

        async def create() -> Sequence[str]:
            answer = await self._create_batch(request)
            reasons.extend(answer.warnings)
            return answer.ids

        ids = await self._tracker().submit(create, sinks)
        for (chunk, _), task_id in zip(batch, ids, strict=True):
            chunk.task_id = task_id
        warn_unplaceable(reasons)

    async def _create_batch(
        self, request: scheduler_pb2.BatchCreateTasksRequest
    ) -> scheduler_pb2.BatchCreateTasksResponse:
        end = time.monotonic() + self._calls.retry_for
        while True:
            try:
                return await self._calls.call(BATCH_CREATE_TASKS, request)
            except QuorateError as error:
                full = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                if not full or time.monotonic() >= end:
                    raise
            await asyncio.sleep(HELD_BACK)

    async def _give_up(self, plan: MapPlan, creating: set[asyncio.Task[None]]) -> None:
        """Cancel what nobody waits for any more, also what is just being created."""
        if creating:
            done, _ = await asyncio.wait(creating, timeout=CANCEL_SECONDS)
            for task in done:
                task.exception()  # retrieved: whoever gave up does not want it
        await abulk.give_up(self._calls, plan.open_tasks(), seconds=CANCEL_SECONDS)

    def _tracker(self) -> AsyncTracker:
        queue = self._options.queue
        tracker = self._trackers.get(queue)
        if tracker is None or tracker.failed is not None:
            tracker = self._trackers[queue] = AsyncTracker(self._calls, queue)
        return tracker


def _arrive(arrived: asyncio.Queue[tuple[Chunk, Outcome]], chunk: Chunk, outcome: Outcome) -> None:
    arrived.put_nowait((chunk, outcome))
