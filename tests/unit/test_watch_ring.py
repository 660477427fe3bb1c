"""The ring of recent changes: what is in it is not read from etcd, what it let go is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.api import Delete, Op, Put, TxnResult, WatchBatch, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from scheduler.api.tasks import watch_past, watch_pick, watches
from scheduler.api.tasks.changes import ALL, WHOLE, Recent
from scheduler.api.tasks.watch_pick import Place, encode_token
from tests.support.watching import Followed, running, watches_of

PREFIX = b"/quorate/test/"
SPEC = t.TaskSpec(command=t.CommandWork(argv=["true"])).SerializeToString()
QUEUES = ("a", "b")
IDS = [f"{number:012x}7000800000000000000{number}" for number in range(1, 4)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "PROGRESS", 0.01)


def key(kind: str, queue: str, task: str) -> bytes:
    return PREFIX + f"{kind}/{queue}/{task}".encode()


def created(queue: str, task: str) -> Put:
    record = r.TaskRecord(spec=SPEC, create_time=1.0)
    return Put(key("tasks", queue, task), record.SerializeToString())


def ran(queue: str, task: str, state: t.TaskState = t.TASK_STATE_SUCCEEDED) -> Put:
    record = r.RunRecord(state=state, attempt=1)
    return Put(key("runs", queue, task), record.SerializeToString())


def gone(queue: str, task: str) -> list[Op]:
    return [Delete(key(kind, queue, task)) for kind in ("tasks", "runs")]


class Counted(MemoryEtcd):
    """Counts the watches that are opened, by what they watch."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[bytes] = []
        # How many revisions each of them began in the past.
        self.behind: list[int] = []
        self.newest = 0

    async def txn(self, *args: Any, **kwargs: Any) -> TxnResult:
        result = await super().txn(*args, **kwargs)
        self.newest = result.revision
        return result

    def watch(self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0) -> Any:
        self.watched.append(key)
        self.behind.append(self.newest + 1 - start_revision)
        return super().watch(key, range_end, start_revision=start_revision)


async def _confirmed() -> int:
    return 0


async def write(etcd: MemoryEtcd, *ops: Op) -> int:
    """As a leader does: the head goes with them."""
    return (await etcd.txn((), [*ops, Put(PREFIX + b"head", b"")])).revision


def brief(event: pb.TaskEvent) -> tuple[int, str, int, int]:
    return event.kind, event.task.id, event.task.state, event.revision


async def told(
    served: watches.Watches, until: int, **request: Any
) -> list[tuple[int, str, int, int]]:
    """What a watch tells up to the revision `until`."""
    events = []
    async with aclosing(Followed(served, pb.WatchTasksRequest(**request))) as answers:
        async for answer in answers:
            events += [brief(event) for event in answer.events]
            place = watch_pick.decode_token(answer.resume_token)
            assert place is not None
            if place.revision >= until:
                return events
    raise AssertionError("the watch ended")


# A Txn: what is done to each of some tasks.
TXNS = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(QUEUES), st.sampled_from(IDS)),
        st.sampled_from(["create", "run", "delete"]),
        max_size=4,
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=20, deadline=None)
@given(TXNS, TXNS, st.integers(1, 12), st.sampled_from(("", *QUEUES)), st.booleans())
def test_a_watch_tells_the_same_from_the_ring_and_from_the_past(
    before: list[dict[tuple[str, str], str]],
    during: list[dict[tuple[str, str], str]],
    most: int,
    queue: str,
    final: bool,
) -> None:
    """From every place on, whatever of it the ring still has and however the queues mix."""

    async def play() -> None:
        etcd = MemoryEtcd()
        on_record: set[tuple[str, str]] = set()

        async def go(txns: list[dict[tuple[str, str], str]]) -> int:
            revision = 0
            for txn in txns:
                ops: list[Op] = []
                for task, deed in txn.items():
                    if deed == "create" and task not in on_record:
                        ops.append(created(*task))
                        on_record.add(task)
                    elif deed == "run" and task in on_record:
                        ops.append(ran(*task))
                    elif deed == "delete" and task in on_record:
                        ops += gone(*task)
                        on_record.discard(task)
                revision = await write(etcd, *ops)
            return revision

        states = [t.TASK_STATE_SUCCEEDED] if final else []
        begin = await go(before)
        # One ring of the usual size and one that soon lets go.
        async with (
            asyncio.timeout(60),
            running(watches_of(etcd, PREFIX, head=begin)) as whole,
            running(
                watches_of(etcd, PREFIX, head=begin, recent=Recent(PREFIX, most=most))
            ) as small,
            aclosing(Followed(whole, pb.WatchTasksRequest())) as first,
            aclosing(Followed(small, pb.WatchTasksRequest())) as second,
        ):
            await anext(first)
            await anext(second)
            end = await go(during)
            everything = await told(whole, end, queue=queue, states=states, resume_token=_at(1))
            for revision in range(1, end):
                expected = [event for event in everything if event[3] > revision]
                for served in (whole, small):
                    answer = await told(
                        served, end, queue=queue, states=states, resume_token=_at(revision)
                    )
                    assert answer == expected

    asyncio.run(play())


def _at(revision: int) -> str:
    return encode_token(Place(revision, WHOLE))


async def test_any_number_of_watches_is_one_watch_of_etcd() -> None:
    etcd = Counted()
    head = await write(etcd, created("a", IDS[0]))
    async with asyncio.timeout(60), running(watches_of(etcd, PREFIX, head=head)) as served:
        many = [Followed(served, pb.WatchTasksRequest(queue="a")) for _ in range(50)]
        for watch in many:
            await anext(watch)
        later = await write(etcd, ran("a", IDS[0]))
        for watch in many:
            answer = await anext(watch)
            assert [event.revision for event in answer.events] == [later]
            await watch.aclose()
        # Also those that come back with a token.
        assert len(await told(served, later, resume_token=_at(head))) == 1
    assert etcd.watched == [PREFIX]


async def test_a_watch_of_which_nothing_matches_gets_fresh_tokens_while_others_change() -> None:
    etcd = MemoryEtcd()
    head = await write(etcd)
    busy = True

    async def keep_busy() -> None:
        while busy:
            await write(etcd, created("other", IDS[0]), *gone("other", IDS[1]))

    async with (
        asyncio.timeout(60),
        running(watches_of(etcd, PREFIX, head=head)) as served,
        aclosing(Followed(served, pb.WatchTasksRequest(queue="quiet"))) as answers,
        aclosing(Followed(served, pb.WatchTasksRequest(ids=["x"]))) as of_one,
    ):
        writer = asyncio.create_task(keep_busy())
        for watch in (answers, of_one):
            tokens = [(await anext(watch)).revision for _ in range(5)]
            assert tokens == sorted(set(tokens)), "each answer is further than the last"
        busy = False
        await writer


async def test_the_past_of_a_queue_is_read_by_its_own_keys() -> None:
    etcd = Counted()
    head = await write(etcd)
    recent = Recent(PREFIX, most=3)
    served = watches_of(etcd, PREFIX, head=head, recent=recent)
    async with (
        asyncio.timeout(60),
        running(served),
        aclosing(Followed(served, pb.WatchTasksRequest(queue="quiet"))) as answers,
    ):
        await anext(answers)
        mine = await write(etcd, created("a", IDS[0]))
        for number in range(20):
            end = await write(etcd, created("b", f"{number:032x}"))
        while recent.at < end:
            await anext(answers)
        assert await told(served, end, queue="a", resume_token=_at(head)) == [
            (pb.TaskEvent.KIND_CREATED, IDS[0], t.TASK_STATE_PENDING, mine)
        ]
        assert etcd.watched == [PREFIX, PREFIX + b"tasks/a/"]
        # Nothing was missed by who is behind that, though the ring begins much later.
        assert await told(served, end, queue="a", resume_token=_at(mine)) == []
        final = [t.TASK_STATE_SUCCEEDED]
        assert await told(served, end, queue="a", states=final, resume_token=_at(head)) == []
        assert etcd.watched == [PREFIX, PREFIX + b"tasks/a/"]


async def test_a_leader_goes_on_with_what_it_heard_as_a_standby() -> None:
    etcd = Counted()
    first = await write(etcd, created("a", IDS[0]))
    recent = Recent(PREFIX)
    recent.restart(first)
    async with etcd.watch(PREFIX, prefix_end(PREFIX), start_revision=first + 1) as batches:
        second = await write(etcd, ran("a", IDS[0]))
        recent.take(await anext(batches))
    head = await write(etcd)
    etcd.watched.clear()
    served = watches_of(etcd, PREFIX, head=head, recent=recent)
    async with asyncio.timeout(60), running(served):
        events = await told(served, head, queue="a", resume_token=_at(first))
    assert [event[3] for event in events] == [second]
    assert etcd.watched == [PREFIX]


async def test_a_new_leader_looks_at_changes_only_once_somebody_watches() -> None:
    etcd = Counted()
    elected = await write(etcd, created("a", IDS[0]))
    recent = Recent(PREFIX)
    recent.restart(elected)
    served = watches.Watches(etcd, recent, lambda: elected, _confirmed)
    async with asyncio.timeout(60), running(served):
        change = await write(etcd, ran("a", IDS[0]))
        while recent.revision < change:
            await asyncio.sleep(0.005)
        assert len(recent) > 0
        assert recent.at == elected
        events = await told(served, change, queue="a", resume_token=_at(elected))
        assert [event[3] for event in events] == [change]
        assert recent.at == change
    assert etcd.watched == [PREFIX]


@pytest.mark.parametrize("awaited", [0.02, 60.0])
async def test_the_first_watch_of_a_busy_leader_makes_etcd_read_no_history(
    awaited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """etcd reads history so slowly that a ring which begins in it would never catch up."""
    monkeypatch.setattr(watches, "AWAITED", awaited)
    etcd = Counted()
    elected = await write(etcd, created("a", IDS[0]))
    recent = Recent(PREFIX)
    recent.restart(elected)
    head = [elected]
    served = watches.Watches(etcd, recent, lambda: head[0], _confirmed)
    async with asyncio.timeout(60), running(served):
        for number in range(20):
            head[0] = await write(etcd, ran("a", IDS[number % 3]))
            await asyncio.sleep(0.005)
        async with aclosing(Followed(served, pb.WatchTasksRequest(queue="a"))) as answers:
            await anext(answers)
            end = head[0] = await write(etcd, ran("a", IDS[0]))
            async for answer in answers:
                if any(event.revision >= end for event in answer.events):
                    break
    assert max(etcd.behind) <= 1


async def test_who_does_not_read_the_past_is_ended_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_past, "PATIENCE", 0.05)
    monkeypatch.setattr(watch_past, "AT_ONCE", 1)
    monkeypatch.setattr(watch_pick, "EVENTS_AT_ONCE", 1)
    etcd = MemoryEtcd()
    begin = await write(etcd)
    for number in range(10):
        head = await write(etcd, created("a", f"{number:032x}"))
    served = watches_of(etcd, PREFIX, head=head)
    async with asyncio.timeout(60), running(served):
        slow = Followed(served, pb.WatchTasksRequest(resume_token=_at(begin)))
        await anext(slow)
        answers = [await anext(slow)]
        # It has the only turn, and reads no more.
        assert len(await told(served, head, resume_token=_at(begin))) == 10

        async def read_on() -> None:
            async for answer in slow:
                answers.append(answer)

        with pytest.raises(QuorateError) as rejection:
            await read_on()
        assert rejection.value.reason == "WATCH_TOO_SLOW"
        seen = [brief(event) for answer in answers for event in answer.events]
        seen += await told(served, head, resume_token=answers[-1].resume_token)
        assert len(seen) == len(set(seen)) == 10


async def test_who_does_not_read_the_ring_holds_nothing_and_goes_on_from_the_past() -> None:
    etcd = MemoryEtcd()
    head = await write(etcd)
    recent = Recent(PREFIX, most=5)
    served = watches_of(etcd, PREFIX, head=head, recent=recent)
    async with asyncio.timeout(60), running(served):
        slow = Followed(served, pb.WatchTasksRequest())
        await anext(slow)
        for number in range(50):
            end = await write(etcd, created("a", f"{number:032x}"))
        # Read by somebody else up to the end.
        await told(served, end, resume_token=_at(end - 1))
        assert len(recent) <= 5
        seen: list[str] = []
        while len(seen) < 50:
            seen += [event.task.id for event in (await anext(slow)).events]
        assert seen == [f"{number:032x}" for number in range(50)]
        await slow.aclose()


def test_the_ring_is_bounded_before_and_after_it_is_looked_at() -> None:
    async def play() -> None:
        etcd = MemoryEtcd()
        recent = Recent(PREFIX, most=100, most_bytes=2_000)
        async with etcd.watch(PREFIX, prefix_end(PREFIX), start_revision=1) as batches:
            for number in range(200):
                await write(etcd, created(f"q{number % 7}", f"{number:032x}"))
                recent.take(await anext(batches))
                if number > 100:
                    while recent.index(3) is not None:
                        pass
                held = recent.behind(ALL, (0, 0), 1_000)
                assert sum(change.size for change in held) <= 2_000
                assert len(held) <= len(recent) <= 100
                assert all(change.at[0] > recent.floor for change in held)
            assert held
            assert recent.at == recent.revision
            # Of all that was let go it is known when each queue changed last.
            assert recent.missed("q0", b"tasks", recent.since) <= recent.floor

    asyncio.run(play())


@pytest.mark.parametrize("place", [b"mq/00000000000000a1/p00/c/", b"mb/00000000000000a1/"])
async def test_messages_do_not_drive_changes_of_tasks_out(place: bytes) -> None:
    etcd, recent = MemoryEtcd(), Recent(PREFIX, most_bytes=10_000)
    await etcd.txn([], [created("a", IDS[0])])
    chunk = PREFIX + place
    for number in range(5):
        # The task's change is behind a chunk in its Txn.
        await etcd.txn([], [Put(chunk + b"%012x" % number, b"x" * 5_000), ran("a", IDS[0])])
    for revision, events in etcd.since(2):
        recent.take(WatchBatch(revision, events))
    assert recent.floor == 0
    while recent.index(100) is not None:
        pass
    places = [change.at for change in recent.behind("a", (0, 0), 100)]
    assert places == [(2, 0), *[(revision, 1) for revision in range(3, 8)]]
