"""Replicas on a real agent: programs, health, records and the end of each."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from node_agent.app import serve
from node_agent.engine.driver import Driver
from node_agent.logs.attempt_log import LogStore
from node_agent.services.instance_records import InstanceRecords
from node_agent.session.session import Sessions
from quorate.etcd.api import WatchEvent, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import InstanceRecord
from quorate.runtime.timing.clock import SystemClock
from quorate.v1 import service_pb2, task_pb2
from tests.support.agent import INSTANCE, Agent, Leader, Session, command, eventually, task_id

HELLO = Path(__file__).resolve().parents[2] / "examples" / "hello_service.py"
PREFIX = b"/quorate/c/"
STARTING = service_pb2.INSTANCE_STATE_STARTING
HEALTHY = service_pb2.INSTANCE_STATE_HEALTHY
UNHEALTHY = service_pb2.INSTANCE_STATE_UNHEALTHY
DRAINING = service_pb2.INSTANCE_STATE_DRAINING


class Node:
    """An agent with records, a leader's session with it, and the history of its records."""

    def __init__(self, agent: Agent, leader: Leader, session: Session, etcd: MemoryEtcd) -> None:
        self.agent = agent
        self.leader = leader
        self.session = session
        self.etcd = etcd
        # State after state of each instance; 0: the record is gone.
        self.states: dict[str, list[int]] = {}
        self.records: dict[str, InstanceRecord] = {}

    async def follow(self) -> None:
        async with self.etcd.watch(PREFIX, PREFIX + b"\xff", start_revision=1) as batches:
            async for batch in batches:
                for event in batch.events:
                    name = event.kv.key.rpartition(b"/")[2].decode()
                    record = InstanceRecord.FromString(event.kv.value)
                    self.states.setdefault(name, []).append(
                        0 if event.deleted else record.instance.state
                    )
                    if not event.deleted:
                        self.records[name] = record

    async def start(self, spec: task_pb2.TaskSpec, task: str = "", attempt: int = 1) -> str:
        task = task or task_id()
        await self.session.assign(task, spec, attempt)
        return task

    async def until(self, task: str, *states: int) -> InstanceRecord:
        await eventually(lambda: self.states.get(task) == [*states])
        return self.records[task]

    async def get(self, task: str, path: str = "/") -> tuple[str, str]:
        """Status line and body of a request to a replica."""
        host, _, port = self.records[task].instance.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        return head.partition("\r\n")[0], body.strip()


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    clock, etcd, records = SystemClock(), MemoryEtcd(), InstanceRecords(PREFIX)
    writer = asyncio.create_task(records.run(etcd))
    async with Driver(
        slots=1,
        node="n",
        instance="i-1",
        data=tmp_path,
        mark=f"test-{tmp_path.name}-{os.getpid()}",
        clock=clock,
        logs=LogStore(tmp_path),
        directory=str(tmp_path),
        kill_grace=5.0,
        labels={"zone": "a", "disk": "ssd"},
        records=records,
    ) as driver:
        sessions = Sessions(driver, clock, INSTANCE)
        serving = await serve("127.0.0.1:0", "", driver, sessions)
        records.on_registered((await etcd.lease_grant(60)).id, INSTANCE)
        async with Leader(serving.address) as leader:
            agent = Agent(driver, sessions, serving.address, tmp_path)
            node = Node(agent, leader, await leader.open(), etcd)
            following = asyncio.create_task(node.follow())
            yield node
            following.cancel()
        await serving.server.stop(0)
    writer.cancel()
    await asyncio.gather(writer, following, return_exceptions=True)


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(value * 1e9))
    return duration


def service(
    *argv: str,
    health: task_pb2.HealthCheck | None = None,
    drain_grace: float = 0.0,
    **env: str,
) -> task_pb2.TaskSpec:
    """A service whose checks are quick."""
    health = health or task_pb2.HealthCheck(http_path="/healthz")
    health.interval.CopyFrom(seconds(0.1))
    work = task_pb2.ServiceWork(
        service="web",
        generation=4,
        command=task_pb2.CommandWork(argv=argv, env=env),
        health=health,
        drain_grace=seconds(drain_grace),
        labels={"zone": "b"},
    )
    return task_pb2.TaskSpec(service=work)


def hello(drain_grace: float = 0.0, **env: str) -> task_pb2.TaskSpec:
    spec = service(sys.executable, str(HELLO), drain_grace=drain_grace)
    spec.service.command.env.update(env)
    return spec


# A server that is healthy while a file is there.
MOODY = """
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.path.exists(os.environ["MOOD"]) else 500)
        self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""


async def test_a_replica_whose_secret_is_missing_is_never_on_record(node: Node):
    spec = hello()
    spec.service.command.secrets["PW"].file = "pw"
    task = await node.start(spec)
    report = await node.session.finished(task)
    assert report.error.type == "SECRET_NOT_FOUND"
    # Records are written in order: with the next one's there, this one's would have been.
    await node.until(await node.start(hello()), STARTING, HEALTHY)
    assert task not in node.states


async def test_a_replica_serves_on_its_port_and_says_who_it_is(node: Node):
    task = await node.start(hello(PORT="1", QUORATE_INSTANCE="nobody"))
    record = await node.until(task, STARTING, HEALTHY)
    instance = record.instance
    assert (record.agent, record.attempt) == (INSTANCE, 1)
    assert (instance.service, instance.id, instance.node) == ("web", task, "n")
    assert (instance.generation, instance.weight) == (4, 1)
    assert dict(instance.labels) == {"zone": "b", "disk": "ssd"}
    assert instance.start_time.seconds > 1_500_000_000
    assert await node.get(task) == ("HTTP/1.1 200 OK", task)
    assert f"instance {task} at".encode() in (await node.leader.logs(task))["stdout"]


async def test_replicas_leave_the_slot_to_others(node: Node):
    tasks = [await node.start(hello()) for _ in range(3)]
    for task in tasks:
        await node.until(task, STARTING, HEALTHY)
    assert len({node.records[task].instance.address for task in tasks}) == 3
    await node.session.until(lambda: node.session.credit == 4)
    assert (await node.session.run(command("true"))).result.exit_code == 0
    assert not any(node.session.returned(task) for task in tasks)


async def test_a_replica_that_is_killed_is_reported(node: Node):
    script = "echo $$; exec " + f"{sys.executable} {HELLO}"
    task = await node.start(service("sh", "-c", script))
    await node.until(task, STARTING, HEALTHY)
    pid = int((await node.leader.logs(task))["stdout"].split()[0])
    os.kill(pid, signal.SIGKILL)
    report = await node.session.finished(task)
    assert (report.error.type, report.error.code) == ("SIGNAL", 9)
    await node.until(task, STARTING, HEALTHY, 0)


async def test_an_exit_by_itself_is_reported_as_it_is(node: Node):
    failed = await node.start(service("sh", "-c", "exit 3"))
    ended = await node.start(service("true"))
    assert (await node.session.finished(failed)).error.code == 3
    assert (await node.session.finished(ended)).result.exit_code == 0
    await eventually(lambda: node.states.get(failed, [0])[-1] == 0)


async def test_a_program_that_does_not_exist_is_reported(node: Node):
    task = await node.start(service("/no/such/program"))
    assert (await node.session.finished(task)).error.type == "NOT_STARTED"


async def test_an_unhealthy_replica_is_ended_and_reported(node: Node, tmp_path: Path):
    mood = tmp_path / "mood"
    mood.touch()
    task = await node.start(service(sys.executable, "-c", MOODY, MOOD=str(mood)))
    await node.until(task, STARTING, HEALTHY)
    mood.unlink()
    report = await node.session.finished(task)
    assert report.error.type == "UNHEALTHY"
    assert report.error.message == "failed its health checks: GET /healthz answered 500"
    await node.until(task, STARTING, HEALTHY, UNHEALTHY, 0)


async def test_a_replica_that_never_gets_well_is_ended_after_its_start(node: Node):
    health = task_pb2.HealthCheck(tcp=True, start_grace=seconds(0.3), unhealthy_after=2)
    task = await node.start(service("sleep", "1000", health=health))
    report = await node.session.finished(task)
    assert report.error.type == "UNHEALTHY"
    assert "connection refused" in report.error.message
    await node.until(task, STARTING, UNHEALTHY, 0)


async def test_requests_in_flight_are_finished(node: Node):
    task = await node.start(hello(drain_grace=0.5))
    await node.until(task, STARTING, HEALTHY)
    host, _, port = node.records[task].instance.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(task.encode() + b"\n")
    await node.session.cancel(task)
    await node.until(task, STARTING, HEALTHY, DRAINING)
    # It takes a second: SIGTERM finds it under way.
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await reader.readuntil(task.encode() + b"\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer  # it had been told to end by then
    writer.close()
    report = await node.session.finished(task)
    assert report.error.type == "CANCELLED"
    await node.until(task, STARTING, HEALTHY, DRAINING, 0)


async def test_a_cancelled_replica_serves_until_its_grace_is_over(node: Node):
    task = await node.start(hello(drain_grace=1000.0))
    await node.until(task, STARTING, HEALTHY)
    await node.session.cancel(task)
    await node.until(task, STARTING, HEALTHY, DRAINING)
    assert (await node.get(task))[1] == task
    assert not node.session.reports(task)


async def test_a_newer_attempt_takes_the_place_of_an_older_one(node: Node):
    task = await node.start(hello())
    first = (await node.until(task, STARTING, HEALTHY)).instance.address
    await node.start(hello(), task, attempt=2)
    record = await node.until(task, STARTING, HEALTHY, STARTING, HEALTHY)
    assert (record.attempt, record.instance.address != first) == (2, True)
    assert not node.session.reports(task)


async def test_a_leaving_agent_drains_its_replicas(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes, tmp_path: Path
):
    cluster = "agents" + key_prefix.decode().replace("/", "-").rstrip("-")
    # Agents take orders from the leader that etcd names alone.
    epoch = await etcd_client.put(f"/quorate/{cluster}/election/scheduler/1".encode(), b"")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node_agent", "--name", "n1", "--cluster", cluster),
        *("--etcd", etcd_server.endpoint, "--data-dir", str(tmp_path / "n1"), "--slots", "1"),
        *("--drain-grace", "0.5", "--kill-grace", "3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        fields = dict(word.split("=", 1) for word in line.split()[2:])
        async with Leader(fields["address"]) as leader:
            session = await leader.open(epoch, fields["instance"])
            task = task_id()
            # Not from 1: other tests compact the etcd that all share.
            first = (await etcd_client.status()).revision + 1
            await session.assign(task, hello(drain_grace=1000.0))
            prefix = f"/quorate/{cluster}/services/web/".encode()
            watch = etcd_client.watch(prefix, prefix_end(prefix), start_revision=first)
            async with watch as batches:
                events = (event async for batch in batches for event in batch.events)
                assert await _next_state(events) == STARTING
                assert await _next_state(events) == HEALTHY
                process.terminate()
                assert await _next_state(events) == DRAINING
                report = await session.finished(task)
                assert report.handed_back
                await session.acknowledge(task)
                assert await _next_state(events) == 0
            async with asyncio.timeout(60):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _next_state(events: AsyncIterator[WatchEvent]) -> int:
    async with asyncio.timeout(60):
        event = await anext(events)
    if event.deleted:
        return 0
    return InstanceRecord.FromString(event.kv.value).instance.state
