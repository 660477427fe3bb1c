"""A cluster in memory for tests of live updates, and clients of the WebSocket.

`FakeCluster` has what `gateway.live` calls: a log of task events with revisions and tokens, lists
made from it, a leader that can be lost. `serving` puts a `Live` on a real socket with uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect

from gateway.cluster.methods import Method
from gateway.cluster.upstream_errors import UpstreamError
from gateway.live.endpoint import Live
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import job_pb2, node_pb2, queue_pb2, service_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.tls import client_headers, gateway_context

Event = pb.TaskEvent


class FakeCluster:
    """One leader's answers."""

    def __init__(self) -> None:
        self.events: list[pb.TaskEvent] = []
        self.tasks: dict[str, task_pb2.Task] = {}
        self.queues = {"default": queue_pb2.Queue(name="default")}
        self.nodes: dict[str, node_pb2.Node] = {}
        self.jobs: dict[str, job_pb2.Job] = {}
        self.services: dict[str, service_pb2.Service] = {}
        self.logs: list[pb.LogChunk] = []
        self.log_ended = asyncio.Event()
        self.epoch = 1
        # Of what is listed.
        self.revision = 90
        # Without it calls are not answered: the cluster is slow, or nobody leads.
        self.leads = asyncio.Event()
        self.leads.set()
        self.says_no_leader = False
        # Tokens below it are compacted.
        self.oldest = 0
        self.calls: list[str] = []
        self.watches = 0
        self.job_watches = 0
        self._grew = asyncio.Condition()

    # -- what happens

    async def happen(self, *events: pb.TaskEvent) -> None:
        """Commit events, one revision each."""
        for event in events:
            event.revision = 100 + len(self.events)
            self.events.append(pb.TaskEvent.FromString(event.SerializeToString()))
            task = event.task
            if event.kind == Event.KIND_PROGRESS:
                # No version: only reads have it.
                if task.id in self.tasks:
                    self.tasks[task.id].progress.CopyFrom(task.progress)
                continue
            if event.kind == Event.KIND_DELETED:
                self.tasks.pop(task.id, None)
                continue
            known = self.tasks.setdefault(task.id, task_pb2.Task())
            spec = task_pb2.TaskSpec.FromString(known.spec.SerializeToString())
            known.CopyFrom(task)
            if not task.HasField("spec"):
                known.spec.CopyFrom(spec)
        async with self._grew:
            self._grew.notify_all()

    # -- gateway.live.cluster.calls.Cluster

    async def unary(
        self, method: Method, request: Any, *, timeout: float, reads: bool = False
    ) -> Any:
        self.calls.append(method.name)
        if self.says_no_leader:
            raise fault(grpc.StatusCode.UNAVAILABLE, "NO_LEADER")
        try:
            async with asyncio.timeout(timeout):
                await self.leads.wait()
        except TimeoutError:
            raise fault(grpc.StatusCode.DEADLINE_EXCEEDED, "LATE") from None
        answer = getattr(self, f"_{method.name}")(request)
        if isinstance(answer, QuorateError):
            raise UpstreamError(answer)
        return answer

    def _GetCluster(self, request: Any) -> Any:
        answer = pb.GetClusterResponse()
        answer.cluster.epoch = self.epoch
        answer.cluster.revision = self.revision
        answer.caller.name = "submitter:ci"
        return answer

    def _ListQueues(self, request: Any) -> Any:
        return pb.ListQueuesResponse(queues=self.queues.values(), revision=self.revision)

    def _ListNodes(self, request: Any) -> Any:
        return pb.ListNodesResponse(nodes=self.nodes.values(), revision=self.revision)

    def _GetTask(self, request: Any) -> Any:
        task = self.tasks.get(request.id)
        return not_found("task", request.id) if task is None else pb.GetTaskResponse(task=task)

    def _ListTasks(self, request: Any) -> Any:
        found = [
            self.tasks[name]
            for name in sorted(self.tasks, reverse=True)
            if request.queue in ("", self.tasks[name].queue)
            and (not request.states or self.tasks[name].state in request.states)
        ]
        start = int(request.page_token or 0)
        page = found[start : start + request.page_size]
        more = start + len(page) < len(found)
        token = str(start + len(page)) if more else ""
        return pb.ListTasksResponse(tasks=page, next_page_token=token)

    async def stream(
        self, method: Method, request: Any, *, timeout: float | None = None
    ) -> AsyncIterator[Any]:
        self.calls.append(method.name)
        async with asyncio.timeout(timeout):
            async for answer in getattr(self, f"_{method.name}")(request):
                yield answer

    async def _WatchTasks(self, request: Any) -> AsyncIterator[Any]:
        if request.queue and request.queue not in self.queues:
            raise UpstreamError(not_found("queue", request.queue))
        token = request.resume_token
        if token and not (token[0] == "t" and token[1:].isdigit()):
            bad = QuorateError(
                grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "bad", field="resume_token"
            )
            raise UpstreamError(bad)
        place = int(token[1:]) if token else len(self.events)
        if place < self.oldest:
            raise fault(grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_GONE")
        self.watches += 1
        try:
            yield pb.WatchTasksResponse(resume_token=f"t{place}", revision=99 + place)
            while True:
                async with self._grew:
                    while len(self.events) <= place:
                        await self._grew.wait()
                if place < self.oldest:
                    raise fault(grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_GONE")
                some = self.events[place : place + 500]
                place += len(some)
                wanted = [e for e in some if request.queue in ("", e.task.queue)]
                if wanted:
                    yield pb.WatchTasksResponse(events=wanted, resume_token=f"t{place}")
        finally:
            self.watches -= 1

    async def _WatchJobs(self, request: Any) -> AsyncIterator[Any]:
        self.job_watches += 1
        known: dict[str, bytes] = {}
        try:
            while True:
                await self.leads.wait()
                newest = sorted(self.jobs.values(), key=lambda job: job.id)[-request.newest :]
                wanted = newest
                if request.ids:
                    wanted = [self.jobs[one] for one in request.ids if one in self.jobs]
                now = {job.id: job.SerializeToString() for job in wanted}
                gone = sorted(name for name in known if name not in self.jobs)
                changed = [job for job in wanted if known.get(job.id) != now[job.id]]
                if changed or gone or not known:
                    yield pb.WatchJobsResponse(jobs=changed, deleted=gone, complete=not known)
                known = now or {"": b""}
                async with self._grew:
                    await self._grew.wait()
        finally:
            self.job_watches -= 1

    async def change_job(self, job: job_pb2.Job | None = None, *, deleted: str = "") -> None:
        """A job is another now, or is gone."""
        if job is not None:
            self.jobs[job.id] = job
        self.jobs.pop(deleted, None)
        async with self._grew:
            self._grew.notify_all()

    async def _WatchServices(self, request: Any) -> AsyncIterator[Any]:
        yield service_pb2.WatchServicesResponse(
            services=self.services.values(), snapshot_complete=True, revision=7
        )
        await asyncio.get_running_loop().create_future()

    async def _StreamTaskLogs(self, request: Any) -> AsyncIterator[Any]:
        for chunk in self.logs:
            yield pb.StreamTaskLogsResponse(chunk=chunk)
        await self.log_ended.wait()


def fault(code: grpc.StatusCode, reason: str) -> UpstreamError:
    """A failure of the cluster."""
    return UpstreamError(QuorateError(code, reason, reason.lower()))


def task_id(number: int) -> str:
    """Ids in the order of their numbers."""
    return f"{number:032x}"


def created(number: int, *, queue: str = "default", **labels: str) -> pb.TaskEvent:
    """A task was created."""
    event = pb.TaskEvent(kind=Event.KIND_CREATED)
    event.task.id, event.task.queue = task_id(number), queue
    event.task.state = task_pb2.TASK_STATE_PENDING
    event.task.spec.name = f"task {number}"
    event.task.spec.labels.update(labels)
    return event


def updated(number: int, state: str, *, queue: str = "default", attempt: int = 1) -> pb.TaskEvent:
    """A task is in another state."""
    event = pb.TaskEvent(kind=Event.KIND_UPDATED)
    event.task.id, event.task.queue = task_id(number), queue
    value: Any = task_pb2.TaskState.Value(f"TASK_STATE_{state}")
    event.task.state = value
    event.task.attempt = attempt
    return event


def said(number: int, text: str, *, attempt: int = 1, seconds: int = 1) -> pb.TaskEvent:
    """A running task tells how far it is."""
    event = updated(number, "RUNNING", attempt=attempt)
    event.kind = Event.KIND_PROGRESS
    event.task.progress.text = text
    event.task.progress.update_time.seconds = seconds
    return event


def deleted(number: int, *, queue: str = "default") -> pb.TaskEvent:
    """A task is gone."""
    event = pb.TaskEvent(kind=Event.KIND_DELETED)
    event.task.id, event.task.queue = task_id(number), queue
    return event


@asynccontextmanager
async def serving(live: Live) -> AsyncIterator[str]:
    """Serve a `Live` on 127.0.0.1; host:port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        Starlette(routes=live.routes),
        ws=live.protocol,  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
    )
    server = _Server(config)
    clock = asyncio.create_task(live.run())
    serve = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await server.up.wait()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serve
        clock.cancel()
        await asyncio.wait([clock])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class Client:
    """One client that reads."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def subscribe(self, name: str, topic: str, **more: Any) -> None:
        await self.say(op="subscribe", id=name, topic=topic, **more)

    async def hear(self, within: float = 10.0) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(within):
            heard = json.loads(await self.socket.recv())
        assert isinstance(heard, dict)
        return heard

    async def until(self, within: float = 10.0, **wanted: Any) -> dict[str, Any]:
        """The next message that has these values."""
        async with asyncio.timeout(within):
            while True:
                heard = await self.hear(within)
                if wanted.items() <= heard.items():
                    return heard


@asynccontextmanager
async def client(address: str, **options: Any) -> AsyncIterator[Client]:
    """A client that was greeted."""
    options.setdefault("additional_headers", client_headers())
    context = gateway_context()
    url = f"{'ws' if context is None else 'wss'}://{address}/v1/live"
    async with connect(url, ssl=context, max_size=None, **options) as connection:
        one = Client(connection)
        assert (await one.hear())["kind"] == "hello"
        yield one


def ids(items: Iterable[dict[str, Any]]) -> list[int]:
    """The numbers of tasks."""
    return [int(item["id"], 16) for item in items]


class Seat:
    """A subscriber that remembers what it was told, and may be slow."""

    def __init__(self) -> None:
        self.joining = False
        self.awaits_snapshot = True
        self.slow = False
        self.told: list[Any] = []

    def ready(self) -> bool:
        return not self.slow

    def send(self, rest: bytes) -> None:
        self.told.append(json.loads(b'{"id":"x",' + rest))

    def fail(self, error: QuorateError) -> None:
        self.told.append(error)
