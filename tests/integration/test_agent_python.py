"""Python calls on a real agent: arguments, results, and errors of every type."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import cloudpickle
import pytest
import pytest_asyncio

from node_agent.executors.worker_program import WorkerLimits
from quorate.v1 import task_pb2
from tests.support.agent import Agent, Leader, Session, python, running_agent
from tests.support.usercode import MODULE, user_agent


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with user_agent(tmp_path) as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


async def test_json_arguments_give_a_json_result(session: Session):
    assert (await session.run(python("usercode:add", 1, 2))).result.json == "3"
    keywords = json.dumps({"args": [1], "kwargs": {"x": 5}})
    report = await session.run(python("usercode:add", json=keywords))
    assert report.result.json == "6"
    report = await session.run(python("usercode:Nested.method", 21))
    assert report.result.json == "42"
    assert report.finish_time.ToNanoseconds() >= report.start_time.ToNanoseconds() > 0


async def test_a_call_without_arguments(session: Session):
    spec = task_pb2.TaskSpec(python=task_pb2.PythonWork(entrypoint="usercode:add"))
    assert (await session.run(spec)).result.json == "0"


async def test_pickled_arguments_give_a_pickled_result(session: Session):
    arguments = pickle.dumps(((math.inf, 1), {}))
    report = await session.run(python("usercode:add", pickle=arguments))
    assert pickle.loads(report.result.pickle) == math.inf


async def test_a_pickled_callable_needs_no_entrypoint(session: Session):
    secret = 7
    arguments = cloudpickle.dumps((lambda x: {"value": x + secret}, (1,), {}))
    report = await session.run(python("", pickle=arguments))
    assert pickle.loads(report.result.pickle) == {"value": 8}


async def test_a_coroutine_function_is_awaited(session: Session):
    assert (await session.run(python("usercode:later", 1))).result.json == "2"


async def test_workers_stay_warm(session: Session):
    pids = {(await session.run(python("usercode:pid"))).result.json for _ in range(10)}
    assert len(pids) <= 2


@pytest.mark.parametrize(
    ("spec", "kind", "text"),
    [
        (python("no_such_module:f"), "ENTRYPOINT_NOT_FOUND", "no_such_module"),
        (python("usercode:nothing"), "ENTRYPOINT_NOT_FOUND", "nothing"),
        (python("usercode"), "ENTRYPOINT_NOT_FOUND", "module:qualname"),
        (python("broken:f"), "ENTRYPOINT_NOT_FOUND", "nowhere_to_be_found"),
        (python("raising:f"), "ENTRYPOINT_NOT_FOUND", "ValueError: at import"),
        (python("usercode:answer"), "ENTRYPOINT_NOT_CALLABLE", "int"),
        (python("usercode:add", json="{"), "ARGUMENTS_NOT_READABLE", "JSON"),
        (python("usercode:add", json='{"a": 1}'), "ARGUMENTS_NOT_READABLE", "args"),
        (python("usercode:add", json="7"), "ARGUMENTS_NOT_READABLE", "array"),
        (python("usercode:add", pickle=b"junk"), "ARGUMENTS_NOT_READABLE", "pickle"),
        (python("usercode:add", pickle=pickle.dumps(1)), "ARGUMENTS_NOT_READABLE", "tuple"),
        (python("", pickle=pickle.dumps((1, (), {}))), "ENTRYPOINT_NOT_CALLABLE", "callable"),
        (python("usercode:strange"), "RESULT_NOT_SERIALISABLE", "object"),
        (python("usercode:add", json="[NaN]"), "RESULT_NOT_SERIALISABLE", "JSON"),
        (python("usercode:repeat", "x", 262_143), "RESULT_TOO_LARGE", "262144"),
        (python("usercode:leave"), "SystemExit", "3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_failure_has_its_type(
    session: Session, spec: task_pb2.TaskSpec, kind: str, text: str
):
    report = await session.run(spec)
    assert report.error.type == kind
    assert text in report.error.message


async def test_an_exception_travels_with_its_type_its_traceback_and_itself(session: Session):
    report = await session.run(python("usercode:fail", "oh no"))
    error = report.error
    assert (error.type, error.message) == ("usercode.Trouble", "oh no")
    assert "in inner" in error.traceback
    assert "calls.py" not in error.traceback
    assert b"oh no" in error.pickle
    assert list(error.base_types) == ["Exception", "BaseException"]


async def test_an_exception_that_exits_when_looked_at_does_not_end_its_worker(session: Session):
    before = (await session.run(python("usercode:pid"))).result.json
    error = (await session.run(python("usercode:fail_hostile"))).error
    assert error.type == "usercode.Hostile"
    assert (await session.run(python("usercode:pid"))).result.json == before


async def test_long_messages_are_cut(session: Session):
    error = (await session.run(python("usercode:fail", "ä" * 60_000))).error
    assert len(error.message.encode()) <= 4096
    assert len(error.traceback.encode()) <= 16 * 1024
    assert not error.pickle


async def test_large_arguments_pass_and_results_of_256_kib(session: Session):
    assert (await session.run(python("usercode:size", "x" * 900_000))).result.json == "900000"
    report = await session.run(python("usercode:repeat", "x", 262_142))
    assert len(report.result.json) == 262_144


async def test_results_are_as_large_as_the_node_is_told(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "usercode.py").write_text(MODULE)
    async with (
        running_agent(
            tmp_path / "node",
            slots=1,
            directory=tmp_path / "code",
            limits=WorkerLimits(max_result=1 << 20),
        ) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        report = await session.run(python("usercode:repeat", "x", (1 << 20) - 2))
        assert len(report.result.json) == 1 << 20
        report = await session.run(python("usercode:repeat", "x", (1 << 20) - 1))
        assert report.error.type == "RESULT_TOO_LARGE"
        assert "1048576" in report.error.message
