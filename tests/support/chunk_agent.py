"""An agent that runs chunks of arrays in its own event loop: what a function says becomes of each.

Served over gRPC, registered in a store; a leader finds and dials it as any other. Owned by one
test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from quorate.etcd.api import Etcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.subtask_frames import frame
from quorate.v1 import job_pb2, scheduler_pb2, task_pb2
from quorate.v1 import node_agent_pb2 as pb

# Missing from the stubs of grpc.aio.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
# Above it a report is sent, and another one begun.
_REPORT_BYTES = 512 << 10
# What becomes of a subtask: its result (b"" for none), or why it failed.
Outcome = bytes | task_pb2.TaskError
Work = Callable[[pb.Chunk, int, bytes], Outcome]


def succeed(chunk: pb.Chunk, position: int, item: bytes) -> Outcome:
    """Every subtask succeeds without a result."""
    return b""


class ChunkAgent:
    """An agent named `name` with `slots`.

    Attributes:
        ran: positions by job, in the order in which they ran.
        templates: the template by job, as it came.
        hold: while it is set chunks are taken and not run; `hold_reduces`: those of reduces.
        each: how many seconds each subtask took, as it says.
    """

    def __init__(self, name: str, work: Work = succeed, *, slots: int = 2, batch: int = 64) -> None:
        self.name = name
        self.slots = slots
        self.instance = f"{name}-1"
        self.ran: dict[str, list[int]] = {}
        self.templates: dict[str, bytes] = {}
        self.assigned: list[pb.Assignment] = []
        self.hold = asyncio.Event()
        self.hold_reduces = False
        self.each = 1e-5
        self._work = work
        self._batch = batch
        self._reports: dict[tuple[str, int], pb.ChunkReport] = {}
        self._finished: dict[str, pb.AttemptFinished] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, list[int]] = {}
        self._context: Any = None
        self._writing = asyncio.Lock()
        # Chunks that are to end.
        self._ended: set[str] = set()
        self._count = 0
        # What chunks wrote, by chunk; `gone`: nothing is known of any.
        self.logs: dict[str, bytearray] = {}
        # Pages of results that were sent, by request.
        self.pages: dict[int, pb.ResultsPage] = {}
        self.gone = False
        self.server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(self._session)
        logs = grpc.unary_stream_rpc_method_handler(self._read_logs)
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "quorate.v1.NodeAgent", {"Session": handler, "ReadLogs": logs}
                ),
            )
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    async def register(self, etcd: Etcd, prefix: bytes) -> None:
        record = NodeRecord(
            name=self.name,
            instance=self.instance,
            address=self.address,
            slots=self.slots,
            takes_chunks=True,
            takes_reduces=True,
            ends_subtasks=True,
        )
        lease = await etcd.lease_grant(600)
        key = prefix + f"nodes/{self.name}".encode()
        await etcd.put(key, record.SerializeToString(), lease=lease.id)

    def write(self, chunk: str, index: int, text: bytes) -> None:
        """A subtask writes to its standard output."""
        self.logs.setdefault(chunk, bytearray()).extend(frame(index) + text)

    async def read_results(self, chunk: str, number: int, position: int) -> None:
        """Ask for results, in the name of a chunk; the answer is in `pages`."""
        await self._say(
            read_results=[
                pb.ReadResults(task_id=chunk, attempt=1, number=number, first_position=position)
            ]
        )

    async def _read_logs(self, body: bytes, context: Any) -> None:
        request = pb.ReadLogsRequest.FromString(body)
        if self.gone:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such task")
        at = request.offset
        while True:
            runs = request.task_id in self._running
            data = bytes(self.logs.get(request.task_id, b"")[at:])
            # In small pieces: frames are cut anywhere.
            for place in range(0, len(data), 7):
                piece = scheduler_pb2.LogChunk(
                    stream=scheduler_pb2.LOG_STREAM_STDOUT,
                    offset=at + place,
                    data=data[place : place + 7],
                )
                await context.write(pb.ReadLogsResponse(chunk=piece).SerializeToString())
            at += len(data)
            if not (request.follow and runs):
                return
            await asyncio.sleep(0.005)

    async def _session(self, requests: Any, context: Any) -> None:
        await context.read()
        async with self._writing:
            self._context = context
            inventory = pb.Inventory()
            for chunk in self._running:
                inventory.running.add(task_id=chunk, attempt=1)
            await self._write(inventory=inventory)
            await self._write(
                credit=self.slots,
                chunk_reports=list(self._reports.values()),
                finished=list(self._finished.values()),
            )
        while (body := await context.read()) is not _EOF:
            self._take(pb.SessionRequest.FromString(body))

    def _take(self, message: pb.SessionRequest) -> None:
        for item in message.assign:
            self.assigned.append(item)
            if item.spec:
                self.templates[item.chunk.job_id] = item.spec
            if item.task_id not in self._running:
                self._running[item.task_id] = asyncio.ensure_future(self._run(item))
        for ref in message.cancel:
            self._ended.add(ref.task_id)
        for recalled in message.recall:
            asyncio.ensure_future(self._give_back(recalled.task_id))  # noqa: RUF006
        for page in message.results:
            self.pages[page.number] = page
        for done in message.acknowledge_reports:
            self._reports.pop((done.task_id, done.number), None)
        for ended in message.acknowledge:
            self._finished.pop(ended.task_id, None)

    async def _run(self, item: pb.Assignment) -> None:
        chunk, name = item.chunk, item.task_id
        positions = [p for one in chunk.ranges for p in range(one.first, one.last + 1)]
        items = dict(zip(positions, chunk.items, strict=False))
        left = self._left[name] = positions
        done = pb.AttemptFinished(task_id=name, attempt=1)
        done.result.exit_code = 0
        while left and name not in self._ended:
            if self.hold.is_set() or (self.hold_reduces and item.HasField("reduce")):
                await asyncio.sleep(0.005)
            else:
                report = pb.ChunkReport(task_id=name, attempt=1)
                size = 0
                for position in left[: self._batch]:
                    if report.ByteSize() > _REPORT_BYTES:
                        break
                    size += 1
                    self.ran.setdefault(chunk.job_id, []).append(position)
                    outcome = self._work(chunk, position, items.get(position, b""))
                    if isinstance(outcome, task_pb2.TaskError):
                        report.failed.add(position=position, error=outcome)
                        continue
                    report.succeeded.add(first=position, last=position)
                    if outcome:
                        run = report.results.add(
                            first=position, kind=job_pb2.ResultRun.KIND_JSON, values=[outcome]
                        )
                        assert run.values
                report.seconds = self.each * size
                del left[:size]
                await self._report(report)
        if left:
            done.error.type = "CANCELLED"
        del self._running[name], self._left[name]
        self._finished[name] = done
        await self._say(finished=[done])

    async def _give_back(self, name: str) -> None:
        """Everything that is left of a chunk but its first two subtasks."""
        left = self._left.get(name)
        if not left or len(left) < 3:
            return
        returned = left[2:]
        del left[2:]
        report = pb.ChunkReport(task_id=name, attempt=1)
        for position in returned:
            report.returned.add(first=position, last=position)
        await self._report(report)

    async def _report(self, report: pb.ChunkReport) -> None:
        self._count += 1
        report.number = self._count
        self._reports[report.task_id, report.number] = report
        await self._say(chunk_reports=[report])

    async def _say(self, **fields: Any) -> None:
        # One at a time on a stream.
        async with self._writing:
            await self._write(**fields)
        await asyncio.sleep(0)

    async def _write(self, **fields: Any) -> None:
        message = pb.SessionResponse(instance=self.instance, **fields)
        try:
            await self._context.write(message.SerializeToString())
        except (asyncio.InvalidStateError, grpc.aio.UsageError, grpc.aio.InternalError):
            # No session: the next one gets it.
            pass


@asynccontextmanager
async def running(agent: ChunkAgent, etcd: Etcd, prefix: bytes) -> AsyncIterator[ChunkAgent]:
    """The agent, served and registered."""
    await agent.server.start()
    await agent.register(etcd, prefix)
    try:
        yield agent
    finally:
        await agent.server.stop(None)
