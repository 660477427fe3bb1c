"""An agent that says anything: its own session ends, and nobody else notices.

Each lie is told over gRPC to a leader over the in-memory store, beside an honest agent. Whatever
was said, the same leader goes on with the same epoch, the honest node's tasks are done, and what
the leader holds for the liar is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf, nan
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Etcd
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.runtime.errors import QuorateError, abort, precondition
from quorate.runtime.ids import InstanceId, NodeName, TaskIds
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_pb2
from scheduler.agents import conduct
from scheduler.agents import orders as order_book
from scheduler.agents.conduct import AgentMisbehaviour, ReturnThrottle, check
from scheduler.core.model import events as e
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.engine.driver import Driver
from scheduler.storage.replica.fold import Fold
from tests.support.core_specs import spec
from tests.support.memory_term import MemoryTerm, standing_by

# Missing from the stubs of grpc.aio.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
PATIENCE = 20.0
HONEST, LIAR = "honest", "liar"
Lie = Callable[["Fake", Any, pb.SessionRequest], Awaitable[None]]


class Fake:
    """An agent that does what a function says, registered under a name."""

    def __init__(self, name: str, behave: Lie) -> None:
        self.name = name
        self.behave = behave
        self.instance = f"{name}-1"
        self.sessions = 0
        self.server = grpc.aio.server(options=(("grpc.max_send_message_length", 64 << 20),))
        handler = grpc.stream_stream_rpc_method_handler(self._session)
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("quorate.v1.NodeAgent", {"Session": handler}),)
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"

    async def _session(self, requests: Any, context: Any) -> None:
        self.sessions += 1
        hello = pb.SessionRequest.FromString(await context.read())
        await self.behave(self, context, hello)

    async def say(self, context: Any, **fields: Any) -> None:
        message = pb.SessionResponse(instance=self.instance, **fields)
        await context.write(message.SerializeToString())

    async def register(self, etcd: Etcd, prefix: bytes) -> None:
        record = NodeRecord(name=self.name, instance=self.instance, address=self.address, slots=4)
        lease = await etcd.lease_grant(600)
        await etcd.put(
            prefix + f"nodes/{self.name}".encode(), record.SerializeToString(), lease=lease.id
        )


async def honest(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
    """Does whatever it is given, at once."""
    await fake.say(context, inventory=pb.Inventory())
    await fake.say(context, credit=4)
    while (body := await context.read()) is not _EOF:
        for item in pb.SessionRequest.FromString(body).assign:
            done = pb.AttemptFinished(task_id=item.task_id, attempt=item.attempt)
            done.result.json = "1"
            await fake.say(context, finished=[done])


def refuses(error: QuorateError) -> Lie:
    async def lie(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
        await abort(context, error)

    return lie


def says(*messages: dict[str, Any], raw: bytes | None = None) -> Lie:
    """An empty inventory and credit, then these, and reads on."""

    async def lie(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
        await fake.say(context, inventory=pb.Inventory())
        await fake.say(context, credit=1)
        for fields in messages:
            await fake.say(context, **fields)
        if raw is not None:
            await context.write(raw)
        while await context.read() is not _EOF:
            pass

    return lie


def begins(message: bytes) -> Lie:
    async def lie(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
        await context.write(message)
        while await context.read() is not _EOF:
            pass

    return lie


async def hangs_up(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
    await fake.say(context, inventory=pb.Inventory())


async def is_silent(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
    await asyncio.Event().wait()


async def hands_everything_back(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
    await fake.say(context, inventory=pb.Inventory())
    await fake.say(context, credit=(1 << 31) - 1)
    while (body := await context.read()) is not _EOF:
        given = pb.SessionRequest.FromString(body).assign
        refs = [pb.AttemptRef(task_id=item.task_id, attempt=item.attempt) for item in given]
        await fake.say(context, returned=refs)


def attempt(task: str = "0" * 32, number: int = 1, **fields: Any) -> pb.AttemptFinished:
    return pb.AttemptFinished(task_id=task, attempt=number, **fields)


async def reports_and_does_not_read(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
    await fake.say(context, inventory=pb.Inventory())
    for number in range(1_000_000):
        error = {"type": "E"}
        ends = [attempt(f"{number}-{n}", error=error) for n in range(1_000)]
        await fake.say(context, finished=ends)


def stats(value: float, amount: int) -> node_pb2.NodeStats:
    return node_pb2.NodeStats(
        cpu=value, load1=value, memory_used=amount, memory_total=amount, disk_used=amount
    )


_LATE = {"seconds": (1 << 63) - 1, "nanos": -(1 << 31)}
_ELSE = {"finished": [attempt(result={"json": "9"})], "started": [pb.AttemptStarted(task_id="x")]}
_MANY = pb.SessionResponse(returned=[pb.AttemptRef()] * (conduct.MOST_ITEMS + 1))

# What it says -> the kind of fault that the leader finds; "" for none.
LIES: dict[str, tuple[Lie, str]] = {
    "a later epoch": (refuses(precondition("STALE_EPOCH", "I have seen 9")), "STALE_EPOCH"),
    "a status without details": (refuses(precondition("X" * 4_000, "y" * 4_000)), ""),
    "bytes that are no message": (begins(b"\xff\xff"), "MALFORMED_MESSAGE"),
    "text that is not UTF-8": (begins(b"\x0a\x01\xff"), "MALFORMED_MESSAGE"),
    "a second inventory": (says({"inventory": pb.Inventory()}), "INVENTORY"),
    "bytes in the middle": (says(raw=b"\xff"), "MALFORMED_MESSAGE"),
    "another process's name": (
        says(raw=pb.SessionResponse(instance="honest-1").SerializeToString()),
        "WRONG_INSTANCE",
    ),
    "more than it can have": (says(raw=_MANY.SerializeToString()), "TOO_MANY_ITEMS"),
    "a message beyond the limit": (says(raw=b"\x0a" + b"\x00" * (5 << 20)), ""),
    "a very long id": (says({"finished": [attempt("x" * 1_000_000)]}), "MALFORMED_MESSAGE"),
    "attempts that nobody gave it": (says(_ELSE, {"returned": [pb.AttemptRef(attempt=-1)]}), ""),
    "an end without an outcome": (says({"finished": [attempt()]}), ""),
    "times that no clock has": (
        says({"finished": [attempt(start_time=_LATE, finish_time=_LATE, error={"type": "E"})]}),
        "",
    ),
    "not a number": (says({"stats": stats(nan, -1)}, {"stats": stats(inf, (1 << 63) - 1)}), ""),
    "room for all there is": (says({"credit": (1 << 31) - 1}, {"credit": -(1 << 31)}), ""),
    "nothing, and hangs up": (hangs_up, ""),
    "nothing": (is_silent, ""),
    "that it takes nothing of what it took": (hands_everything_back, ""),
    "so much that it cannot be read": (reports_and_does_not_read, ""),
}


@asynccontextmanager
async def agents(*fakes: Fake) -> AsyncIterator[None]:
    for fake in fakes:
        await fake.server.start()
    try:
        yield
    finally:
        for fake in fakes:
            await fake.server.stop(None)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def serves(driver: Driver, name: str) -> bool:
    """Whether a node takes work."""
    row = driver.state.nodes.get(NodeName(name))
    return row is not None and row.credit > 0


async def finishes(driver: Driver, ids: TaskIds, count: int) -> None:
    """Tasks that only the honest node will do."""
    loop = asyncio.get_running_loop()
    tasks = [ids.next(driver.clock.now()) for _ in range(count)]
    for task in tasks:
        token = loop.create_future()
        event = e.TaskSubmitted(DEFAULT_QUEUE, task, spec(), e.Request(), token)
        driver.handle((event,))
    await until(lambda: all(task in driver.state.finished for task in tasks))


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_ends_the_liars_session_at_most(lie: str) -> None:
    behave, kind = LIES[lie]
    liar, good = Fake(LIAR, behave), Fake(HONEST, honest)
    async with standing_by(MemoryEtcd()) as replica, agents(liar, good):
        await leads_on(replica, liar, good, kind)


async def leads_on(replica: MemoryTerm, liar: Fake, good: Fake, kind: str) -> None:
    replica.settings.unreachable_after = 60.0
    prefix, ids = replica.settings.prefix, TaskIds()
    async with replica.leading() as driver:
        kinds = replica.metrics.misconduct
        await good.register(replica.etcd, prefix)
        await until(lambda: serves(driver, HONEST))
        await finishes(driver, ids, 20)
        await liar.register(replica.etcd, prefix)
        await until(lambda: liar.sessions)
        if kind:
            await until(lambda: kinds)
            assert set(kinds) == {kind}
            assert driver.state.nodes[NodeName(LIAR)].failure.startswith(f"{kind}: ")
        # The liar may hold what it was given; it is lost when an operator, or its lease, says so.
        state = driver.state
        if NodeName(LIAR) in state.nodes and not kind:
            driver.handle((e.NodeLost(NodeName(LIAR), InstanceId(liar.instance), "test"),))
        await finishes(driver, ids, 20)
        assert replica.term.parts is not None
        assert replica.term.parts.driver is driver


async def test_what_a_leader_answers_to_one_that_does_not_read_is_bounded() -> None:
    liar, good = Fake(LIAR, reports_and_does_not_read), Fake(HONEST, honest)
    async with (
        standing_by(MemoryEtcd()) as replica,
        agents(liar, good),
        replica.leading() as driver,
        asyncio.timeout(60),
    ):
        for fake in (liar, good):
            await fake.register(replica.etcd, replica.settings.prefix)
        await until(lambda: serves(driver, HONEST) and liar.sessions)
        assert replica.term.parts is not None
        link = replica.term.parts.links.of(InstanceId(liar.instance))
        assert link is not None

        def waiting() -> int:
            return len(link.orders._acknowledged)

        while waiting() <= order_book.MOST_ANSWERS:
            await asyncio.sleep(0.01)
        await finishes(driver, TaskIds(), 200)
        assert waiting() <= order_book.MOST_ANSWERS + conduct.MOST_ITEMS


async def test_an_agent_that_keeps_lying_is_asked_ever_more_rarely_and_lost() -> None:
    lie, _ = LIES["bytes that are no message"]
    liar, good = Fake(LIAR, lie), Fake(HONEST, honest)
    async with standing_by(MemoryEtcd()) as replica, agents(liar, good):
        replica.settings.unreachable_after = 1.2
        async with replica.leading() as driver:
            for fake in (liar, good):
                await fake.register(replica.etcd, replica.settings.prefix)
            await until(lambda: liar.sessions)
            await until(lambda: NodeName(LIAR) not in driver.state.nodes)
            # Pauses of 0.5 s and 1 s, not of 0.02 s.
            assert liar.sessions <= 4
            assert NodeName(HONEST) in driver.state.nodes


async def test_an_agent_that_is_right_about_a_later_epoch_finds_the_leader_deposed() -> None:
    """Its word is not believed, but etcd is asked."""
    deposed = asyncio.Event()

    async def later(fake: Fake, context: Any, hello: pb.SessionRequest) -> None:
        await deposed.wait()
        await abort(context, precondition("STALE_EPOCH", "etcd has another one"))

    liar, etcd = Fake(LIAR, later), MemoryEtcd()
    async with (
        standing_by(etcd) as replica,
        agents(liar),
        replica.candidate() as standing,
        replica.elected(*standing) as leading,
        asyncio.timeout(PATIENCE),
    ):
        await replica.serves(leading)
        await liar.register(etcd, replica.settings.prefix)
        await until(lambda: liar.sessions)
        await etcd.delete(standing[0].key)
        deposed.set()
        await asyncio.wait({leading})
        assert leading.exception() is not None


def record(name: str = LIAR, **fields: Any) -> bytes:
    given = {"name": name, "instance": f"{LIAR}-1", "address": "127.0.0.1:1", **fields}
    return NodeRecord(**given).SerializeToString()


# What an agent writes below its own key, and the name of that.
RECORDS: dict[str, tuple[bytes, bytes]] = {
    "no record": (b"liar", b"\xff\xff"),
    "nothing": (b"liar", b""),
    "another node's name": (b"liar", record(HONEST)),
    "another process's instance": (b"liar", record(instance=f"{HONEST}-1")),
    "no instance": (b"liar", record(instance="")),
    "an endless instance": (b"liar", record(instance="x" * 100_000)),
    "no address": (b"liar", record(address="nowhere")),
    "an endless address": (b"liar", record(address="x" * 70_000 + ":1")),
    "a thousand labels": (b"liar", record(labels={str(n): "x" for n in range(1_000)})),
    "a key that is no text": (b"li\xffar", record("li\ufffdar", address="x")),
}


@pytest.mark.parametrize("what", RECORDS)
async def test_a_record_that_is_no_agents_is_nobodys(what: str) -> None:
    """For the leader and for who folds the log alike: the honest node stays as it was."""
    key, value = RECORDS[what]
    good, etcd = Fake(HONEST, honest), MemoryEtcd()
    async with standing_by(etcd) as replica, agents(good):
        prefix = replica.settings.prefix
        await good.register(etcd, prefix)
        async with replica.leading() as driver:
            await until(lambda: serves(driver, HONEST))
            lease = await etcd.lease_grant(600)
            await etcd.put(prefix + b"nodes/" + key, value, lease=lease.id)
            await finishes(driver, TaskIds(), 20)
            assert list(driver.state.nodes) == [HONEST]
            assert good.sessions == 1
        fold = Fold()
        for at, data in ((b"honest", _of(good)), (key, value)):
            fold.put(b"nodes/" + at, data, 1, 1)
        assert list(fold.state.nodes) == [HONEST]
        # Whoever leads next folds the same.
        async with replica.leading() as driver:
            await until(lambda: serves(driver, HONEST))
            assert list(driver.state.nodes) == [HONEST]


def _of(fake: Fake) -> bytes:
    return record(fake.name, instance=fake.instance, address=fake.address)


def test_slots_and_credit_are_held_to_what_an_agent_can_offer() -> None:
    fold = Fold()
    fold.put(b"nodes/liar", record(slots=(1 << 31) - 1), 1, 1)
    assert fold.state.nodes[NodeName(LIAR)].slots == 1_024


def test_returns_beyond_the_rate_are_waited_for() -> None:
    back = e.AttemptReturned(InstanceId("i"), spec_id(), 1)
    returns = ReturnThrottle(0.0)
    assert returns.wait([back] * 10_000, 0.0) == 0.0
    assert returns.wait([back] * 500, 0.0) == pytest.approx(0.5)
    assert returns.wait([], 0.0) == 0.0
    assert returns.wait([back], 100.0) == 0.0


def spec_id() -> Any:
    return TaskIds().next(1.0)


def test_an_honest_message_is_taken() -> None:
    instance = InstanceId("i")
    check(instance, pb.SessionResponse(instance="i", inventory=pb.Inventory()), first=True)
    # As an agent says it that has nothing.
    check(instance, pb.SessionResponse(instance="i"), first=True)
    check(instance, pb.SessionResponse(instance="i", credit=1))
    with pytest.raises(AgentMisbehaviour):
        check(instance, None)
