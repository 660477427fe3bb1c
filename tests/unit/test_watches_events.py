"""A watch cut at any event and resumed tells exactly the rest."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.etcd.api import Delete, Op, Put
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from scheduler.api.tasks import watch_pick, watches
from scheduler.api.tasks.watch_pick import Place, decode_token, encode_token
from tests.support.watching import Followed, running, watches_of

PREFIX = b"/quorate/test/"
IDS = [f"{number:012x}7000800000000000000{number}" for number in range(1, 5)]
END = "f" * 32
SPEC = t.TaskSpec(command=t.CommandWork(argv=["true"])).SerializeToString()


def created(task: str, queue: str = "default") -> Put:
    record = r.TaskRecord(spec=SPEC, create_time=1.0)
    return Put(PREFIX + f"tasks/{queue}/{task}".encode(), record.SerializeToString())


def ran(task: str, state: t.TaskState, queue: str = "default") -> Put:
    record = r.RunRecord(state=state, attempt=1)
    return Put(PREFIX + f"runs/{queue}/{task}".encode(), record.SerializeToString())


def gone(task: str, queue: str = "default") -> list[Op]:
    return [Delete(PREFIX + f"{kind}/{queue}/{task}".encode()) for kind in ("tasks", "runs")]


@pytest.fixture(autouse=True)
def answers_of_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_pick, "EVENTS_AT_ONCE", 1)


async def told(
    etcd: MemoryEtcd, revision: int, **request: object
) -> list[tuple[list[pb.TaskEvent], str]]:
    """Events and token of each answer, up to the one about END."""
    found = []
    wanted = pb.WatchTasksRequest(**request)  # type: ignore[arg-type]
    async with (
        asyncio.timeout(60),
        running(watches_of(etcd, PREFIX, head=revision)) as served,
        aclosing(Followed(served, wanted)) as answers,
    ):
        async for answer in answers:
            found.append((list(answer.events), answer.resume_token))
            if answer.events and answer.events[-1].task.id == END:
                return found
    raise AssertionError("the watch ended")


# A step is one Txn: what each of up to four tasks does in it.
STEPS = st.lists(
    st.dictionaries(st.sampled_from(IDS), st.sampled_from(["create", "run", "finish", "delete"])),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_from_the_token_of_each_event_exactly_the_rest(steps: list[dict[str, str]]) -> None:
    async def play() -> None:
        etcd = MemoryEtcd()
        begin = await etcd.put(PREFIX + b"head", b"0")
        expected: list[tuple[int, str]] = []
        on_record: set[str] = set()
        for number, step in enumerate(steps):
            ops: list[Op] = [Put(PREFIX + b"head", str(number).encode())]
            for task, deed in step.items():
                if deed == "create" and task not in on_record:
                    ops.append(created(task))
                    on_record.add(task)
                    expected.append((pb.TaskEvent.KIND_CREATED, task))
                elif deed == "delete" and task in on_record:
                    ops += gone(task)
                    on_record.discard(task)
                    expected.append((pb.TaskEvent.KIND_DELETED, task))
                elif deed in ("run", "finish") and task in on_record:
                    state = t.TASK_STATE_RUNNING if deed == "run" else t.TASK_STATE_SUCCEEDED
                    ops.append(ran(task, state))
                    expected.append((pb.TaskEvent.KIND_UPDATED, task))
            await etcd.txn((), ops)
        now = (await etcd.txn((), [created(END)])).revision
        whole = await told(etcd, begin)
        events = [event for part, _ in whole for event in part]
        assert [(event.kind, event.task.id) for event in events[:-1]] == expected
        seen = 0
        for part, token in whole:
            seen += len(part)
            if seen < len(events):
                rest = await told(etcd, now, resume_token=token)
                assert [event for more, _ in rest for event in more] == events[seen:]

    asyncio.run(play())


async def test_a_record_written_again_by_a_retry_is_not_a_creation() -> None:
    etcd = MemoryEtcd()
    begin = (await etcd.txn((), [created(IDS[0])])).revision
    await etcd.txn((), [created(IDS[0]), ran(IDS[0], t.TASK_STATE_PENDING)])
    await etcd.txn((), [created(END)])
    events = [event for part, _ in await told(etcd, begin) for event in part]
    assert [(event.kind, event.task.id) for event in events] == [
        (pb.TaskEvent.KIND_UPDATED, IDS[0]),
        (pb.TaskEvent.KIND_CREATED, END),
    ]


async def test_silence_is_broken_by_keepalives_that_can_be_resumed_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "PROGRESS", 0.01)
    etcd = MemoryEtcd()
    begin = (await etcd.txn((), [created(IDS[0])])).revision
    async with (
        asyncio.timeout(60),
        running(watches_of(etcd, PREFIX, head=begin)) as served,
        aclosing(Followed(served, pb.WatchTasksRequest(queue="other"))) as answers,
    ):
        first = await anext(answers)
        # Not asked for, but behind us: the token of the next keepalive is beyond it.
        later = (await etcd.txn((), [created(IDS[1])])).revision
        while (answer := await anext(answers)).resume_token == first.resume_token:
            assert not answer.events
    assert decode_token(answer.resume_token) == Place(later, 2**31 - 1)


async def test_too_many_watches_are_refused_and_one_that_ends_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "MAX_WATCHES", 1)
    etcd = MemoryEtcd()
    served = watches_of(etcd, PREFIX, head=await etcd.put(PREFIX + b"head", b""))
    async with aclosing(Followed(served, pb.WatchTasksRequest())) as first:
        await anext(first)
        with pytest.raises(QuorateError) as rejection:
            await anext(Followed(served, pb.WatchTasksRequest()))
        assert rejection.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert rejection.value.metadata["limit"] == "1"
    async with aclosing(Followed(served, pb.WatchTasksRequest())) as again:
        assert (await anext(again)).resume_token


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**31 - 1), st.integers(1, 1 << 15))
def test_a_token_holds_its_place(revision: int, index: int, generation: int) -> None:
    place = Place(revision, index, generation)
    assert decode_token(encode_token(place)) == place


@given(st.text(min_size=1))
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(QuorateError) as rejection:
        decode_token(token)
    assert rejection.value.field == "resume_token"
