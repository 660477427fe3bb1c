"""A real agent inside the test's process, and a leader that dials it by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from node_agent.app import serve
from node_agent.engine.driver import Driver
from node_agent.executors.confinement import Confinement
from node_agent.executors.link import directory_mark
from node_agent.executors.worker_program import WorkerLimits
from node_agent.logs.attempt_log import LogStore
from node_agent.session.session import Sessions
from node_agent.task.secrets import Secrets
from quorate.runtime.timing.clock import SystemClock
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_agent_pb2_grpc, queue_pb2, scheduler_pb2, task_pb2

INSTANCE = "0123456789abcdef"
PATIENCE = 60.0
_ids = itertools.count(1)


def task_id() -> str:
    """An id that no other task of this run has."""
    return f"{next(_ids):032x}"


def command(*argv: str, timeout: float = 0.0, **work: Any) -> task_pb2.TaskSpec:
    """The spec of a program."""
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=argv, **work))
    if timeout:
        spec.timeout.FromMicroseconds(int(timeout * 1e6))
    return spec


def python(entrypoint: str, *args: Any, timeout: float = 0.0, **more: Any) -> task_pb2.TaskSpec:
    """The spec of a call with JSON arguments, or those of `PythonWork` in `more`."""
    work = task_pb2.PythonWork(entrypoint=entrypoint, **more)
    if not more:
        work.json = json.dumps(args)
    spec = task_pb2.TaskSpec(python=work)
    if timeout:
        spec.timeout.FromMicroseconds(int(timeout * 1e6))
    return spec


class Agent:
    """What `running_agent` yields."""

    def __init__(self, driver: Driver, sessions: Sessions, address: str, data: Path) -> None:
        self.driver = driver
        self.sessions = sessions
        self.address = address
        self.data = data


@asynccontextmanager
async def running_agent(
    data: Path,
    slots: int = 2,
    kill_grace: float = 0.3,
    limits: WorkerLimits | None = None,
    log_cap: int = 16 << 20,
    directory: Path | None = None,
    confinement: Confinement | None = None,
    secrets: Secrets | None = None,
) -> AsyncIterator[Agent]:
    """An agent without registration, on a free port."""
    user = confinement.user if confinement is not None else None
    data.mkdir(exist_ok=True)
    clock = SystemClock()
    async with Driver(
        slots=slots,
        node="n",
        instance=INSTANCE,
        data=data,
        mark=directory_mark(data),
        clock=clock,
        logs=LogStore(data, log_cap, private=user is not None),
        directory=str(directory or data),
        kill_grace=kill_grace,
        limits=limits,
        confinement=confinement,
        secrets=secrets,
    ) as driver:
        sessions = Sessions(driver, clock, INSTANCE)
        serving = await serve("127.0.0.1:0", "", driver, sessions)
        watching = asyncio.ensure_future(driver.disk.run())
        try:
            await eventually(lambda: all(lane.ready for lane in driver.machine.slots))
            yield Agent(driver, sessions, serving.address, data)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await serving.server.stop(0)


class Session:
    """One session of a leader, whose messages gather in `messages`."""

    def __init__(self, call: Any, epoch: int) -> None:
        self.call = call
        self.epoch = epoch
        self.messages: list[pb.SessionResponse] = []
        self.credit = 0
        self._news = asyncio.Event()
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self.call:
            self.messages.append(message)
            if message.HasField("credit"):
                self.credit = message.credit
            self._news.set()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until messages made `condition` true; what it returned."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                if self.reader.done():
                    self.reader.result()
                    raise AssertionError("the session ended")
                self._news.clear()
                await asyncio.wait(
                    (self.reader, asyncio.ensure_future(self._news.wait())),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        return found

    async def send(self, **fields: Any) -> None:
        await self.call.write(pb.SessionRequest(epoch=self.epoch, **fields))

    async def assign(
        self,
        task: str,
        spec: task_pb2.TaskSpec,
        attempt: int = 1,
        disconnect: Any = queue_pb2.DISCONNECT_POLICY_KEEP,
    ) -> None:
        await self.send(assign=[assignment(task, spec, attempt, disconnect)])

    async def cancel(self, task: str, attempt: int = 1) -> None:
        await self.send(cancel=[pb.AttemptRef(task_id=task, attempt=attempt)])

    async def acknowledge(self, task: str, attempt: int = 1) -> None:
        await self.send(acknowledge=[pb.AttemptRef(task_id=task, attempt=attempt)])

    async def run(self, spec: task_pb2.TaskSpec) -> pb.AttemptFinished:
        """Assign a task and wait for its end."""
        task = task_id()
        await self.assign(task, spec)
        return await self.finished(task)

    def reports(self, task: str) -> list[pb.AttemptFinished]:
        return [r for m in self.messages for r in m.finished if r.task_id == task]

    def returned(self, task: str) -> bool:
        return any(ref.task_id == task for m in self.messages for ref in m.returned)

    async def finished(self, task: str) -> pb.AttemptFinished:
        reports = await self.until(lambda: self.reports(task))
        return reports[0]  # type: ignore[no-any-return]

    async def settled(self, task: str) -> None:
        """Wait until a task has ended or was returned."""
        await self.until(lambda: self.returned(task) or self.reports(task))

    async def started(self, task: str) -> None:
        await self.until(lambda: any(s.task_id == task for m in self.messages for s in m.started))

    async def inventory(self) -> pb.Inventory:
        await self.until(lambda: self.messages)
        return self.messages[0].inventory

    async def ended(self) -> grpc.aio.AioRpcError:
        """Wait for the agent to end the session; with what error."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.reader
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("the session ended without an error")


def assignment(
    task: str,
    spec: task_pb2.TaskSpec,
    attempt: int = 1,
    disconnect: Any = queue_pb2.DISCONNECT_POLICY_KEEP,
) -> pb.Assignment:
    return pb.Assignment(
        task_id=task,
        attempt=attempt,
        queue="q",
        spec=spec.SerializeToString(),
        disconnect=disconnect,
    )


class Leader:
    """Dials one agent."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(
            address, options=[("grpc.max_receive_message_length", 16 << 20)]
        )
        self.stub: Any = node_agent_pb2_grpc.NodeAgentStub(self.channel)
        self._sessions: list[Session] = []

    async def __aenter__(self) -> Leader:
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions:
            await self.hang_up(session)
        await self.channel.close(None)

    async def open(
        self, epoch: int = 1, instance: str = INSTANCE, *, leaving: bool = False
    ) -> Session:
        session = Session(self.stub.Session(), epoch)
        self._sessions.append(session)
        await session.send(hello=pb.Hello(instance=instance, leader="test", leaving=leaving))
        return session

    async def hang_up(self, session: Session) -> None:
        session.call.cancel()
        await asyncio.gather(session.reader, return_exceptions=True)

    async def logs(self, task: str, **fields: Any) -> dict[str, bytes]:
        """All that ReadLogs answers, by stream."""
        found = {"stdout": b"", "stderr": b""}
        request = pb.ReadLogsRequest(task_id=task, **fields)
        async for response in self.stub.ReadLogs(request, timeout=PATIENCE):
            chunk = response.chunk
            name = "stdout" if chunk.stream == scheduler_pb2.LOG_STREAM_STDOUT else "stderr"
            found[name] += chunk.data
        return found


async def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until a condition of the outside world holds."""
    async with asyncio.timeout(PATIENCE):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found
