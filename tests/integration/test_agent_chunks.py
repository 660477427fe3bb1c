"""Chunks of Python calls on a real agent: each position is reported once, whatever happens."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import cloudpickle
import pytest
import pytest_asyncio

from quorate.runtime.ranges import Ranges
from tests.support.agent import Agent, Leader, Session, python, running_agent
from tests.support.chunk_functions import MODULE
from tests.support.chunks import chunk, run_chunk


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    (tmp_path / "arrays.py").write_text(MODULE)
    async with running_agent(tmp_path / "node", slots=1, directory=tmp_path) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


async def test_a_chunk_of_calls_that_return_nothing(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 4999)], python("arrays:nothing")))
    assert told.succeeded == Ranges.span(0, 5000)
    assert not told.results
    assert told.end.WhichOneof("outcome") == "result"
    assert sum(report.seconds for report in told.reports) > 0


async def test_results_are_by_position_and_arguments_by_index(session: Session):
    spec = python("arrays:twice", json=json.dumps({"kwargs": {"more": 1}}))
    pairs = [(3, 5), (4090, 4100), (9000, 9000)]
    told = await run_chunk(session, chunk("a" * 32, pairs, spec, first_index=10, index_step=3))
    positions = list(Ranges.of(pairs))
    assert list(told.succeeded) == positions
    expected = {at: str(2 * (10 + 3 * at) + 1).encode() for at in positions}
    assert told.results == expected


async def test_items_are_the_first_argument(session: Session):
    values = [1, "two", [3], None, {"four": 4}]
    items = [json.dumps(value).encode() for value in values]
    told = await run_chunk(session, chunk("a" * 32, [(7, 11)], python("arrays:item"), items=items))
    found = [json.loads(told.results.get(at, b"null")) for at in range(7, 12)]
    assert found == values


async def test_pickled_items_and_results(session: Session):
    spec = python("", pickle=cloudpickle.dumps((lambda value, by: {value: by}, (5,), {})))
    items = [pickle.dumps(value) for value in ((1, 2), b"x")]
    told = await run_chunk(session, chunk("a" * 32, [(0, 1)], spec, items=items))
    assert [pickle.loads(told.results[at]) for at in (0, 1)] == [{(1, 2): 5}, {b"x": 5}]


async def test_an_item_that_cannot_be_read_fails_alone(session: Session):
    assignment = chunk("a" * 32, [(0, 2)], python("arrays:item"), items=[b"1", b"{", b"3"])
    told = await run_chunk(session, assignment)
    assert told.failed[1].type == "ARGUMENTS_NOT_READABLE"
    assert told.results == {0: b"1", 2: b"3"}


async def test_failures_are_told_one_by_one(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 999)], python("arrays:fail_odd")))
    assert list(told.failed) == list(range(1, 1000, 2))
    assert list(told.succeeded) == list(range(0, 1000, 2))
    error = told.failed[7]
    assert (error.type, error.message) == ("ValueError", "odd: 7")
    assert "fail_odd" in error.traceback
    assert "pieces.py" not in error.traceback
    assert "Exception" in error.base_types


async def test_a_function_that_is_not_there_fails_each(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], python("arrays:missing")))
    assert {error.type for error in told.failed.values()} == {"ENTRYPOINT_NOT_FOUND"}
    assert len(told.failed) == 100


async def test_coroutine_functions_are_awaited(session: Session):
    told = await run_chunk(session, chunk("a" * 32, [(0, 2)], python("arrays:later")))
    assert told.results == {0: b"0", 1: b"1", 2: b"2"}


async def test_environment_of_a_subtask(session: Session):
    job = "b" * 32
    assignment = chunk(
        job, [(0, 1)], python("arrays:environment"), items=[b"5", b'"x"'], first_index=1, count=9
    )
    told = await run_chunk(session, assignment)
    assert json.loads(told.results[1]) == [job, "2", "9", '"x"', f"{job}.2", None]
    after = await session.run(python("arrays:look"))
    assert json.loads(after.result.json)[1] is None


async def test_a_child_process_has_the_environment_of_its_subtask(session: Session):
    job = "b" * 32
    told = await run_chunk(session, chunk(job, [(4, 5)], python("arrays:of_child")))
    assert json.loads(told.results[5]) == f"5 {job}.5\n"


async def test_what_a_chunk_changed_is_put_back_behind_it(session: Session, tmp_path: Path):
    await run_chunk(session, chunk("a" * 32, [(0, 9)], python("arrays:leave")))
    after = await session.run(python("arrays:look"))
    assert json.loads(after.result.json) == [None, None, str(tmp_path)]


@pytest.mark.parametrize("where", [0, 5, 99])
async def test_a_crash_fails_its_subtask_alone(session: Session, where: int):
    spec = python("arrays:crash_at", where)
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], spec))
    assert list(told.failed) == [where]
    assert told.failed[where].type == "WORKER_CRASHED"
    assert "code 7" in told.failed[where].message
    assert told.results == {at: str(at).encode() for at in range(100) if at != where}


async def test_a_timeout_ends_its_subtask_alone(session: Session):
    spec = python("arrays:hang_at", 5, timeout=0.3)
    told = await run_chunk(session, chunk("a" * 32, [(0, 99)], spec))
    assert list(told.failed) == [5]
    assert told.failed[5].type == "TIMEOUT"
    assert "0.3 s" in told.failed[5].message
    assert told.results == {at: str(at).encode() for at in range(100) if at != 5}


async def test_integers_of_any_size_are_results_as_those_of_calls(session: Session):
    values = [0, -1, 1 << 62, 1 << 64, True, 10**4000]
    items = [str(json.dumps(value)).encode() for value in values]
    told = await run_chunk(session, chunk("a" * 32, [(0, 5)], python("arrays:item"), items=items))
    assert told.results == dict(enumerate(items))
    told = await run_chunk(session, chunk("b" * 32, [(0, 0)], python("arrays:huge")))
    assert told.failed[0].type == "RESULT_NOT_SERIALISABLE"


async def test_a_result_over_the_limit_fails_alone(session: Session):
    sizes = [json.dumps(size).encode() for size in (10, 300_000, 262_000)]
    spec = python("arrays:big", json='{"kwargs": {"size": 10}}')
    told = await run_chunk(session, chunk("a" * 32, [(0, 0)], spec))
    assert told.results[0] == b'"' + b"x" * 10 + b'"'
    texts = [json.dumps("y" * int(size)).encode() for size in sizes]
    told = await run_chunk(session, chunk("a" * 32, [(0, 2)], python("arrays:item"), items=texts))
    assert told.failed[1].type == "RESULT_TOO_LARGE"
    assert "300002 bytes long; the limit for a subtask is 262144" in told.failed[1].message
    assert told.results == {0: texts[0], 2: texts[2]}


async def test_many_large_results_are_told_in_several_reports(session: Session):
    spec = python("arrays:big", 50_000)
    told = await run_chunk(session, chunk("a" * 32, [(0, 39)], spec))
    assert len(told.results) == 40
    assert len(told.reports) >= 8
