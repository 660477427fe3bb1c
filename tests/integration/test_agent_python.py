"""Python calls on a real agent: arguments, results, errors of every type, and dying workers."""

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
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import (
    Agent,
    Leader,
    Session,
    command,
    eventually,
    python,
    running_agent,
    task_id,
)

MODULE = """
import asyncio, os, signal, subprocess, sys, time

class Trouble(Exception):
    pass

class Nested:
    @staticmethod
    def method(x):
        return x * 2

answer = 42
loaded_by = os.getpid()

def add(*args, **kwargs):
    return sum(args) + sum(kwargs.values())

def pid():
    return os.getpid()

def fail(message):
    inner(message)

def inner(message):
    raise Trouble(message)

class Hostile(Exception):
    def __str__(self):
        sys.exit(3)
    __repr__ = __reduce__ = __str__

def fail_hostile():
    raise Hostile

async def later(x):
    await asyncio.sleep(0.001)
    return x + 1

def say(text):
    print(text)
    print(text.upper(), file=sys.stderr)

def say_in_child(text):
    subprocess.run(["echo", text], check=True)

def say_slowly(text, path):
    print(text)
    while not os.path.exists(path):
        time.sleep(0.01)
    print("end")

def die():
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    import ctypes
    ctypes.string_at(0)

def leave():
    sys.exit(3)

def quiet_exit():
    os._exit(0)

def sleep(seconds, path=""):
    if path:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
    time.sleep(seconds)

def spawn_and_sleep(path):
    child = subprocess.Popen(["sleep", "1000"])
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(1000)

def size(text):
    return len(text)

def repeat(text, times):
    return text * times

def strange():
    return object()

def close_output():
    sys.stdout.close()
"""


@pytest_asyncio.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "usercode.py").write_text(MODULE)
    (tmp_path / "code" / "broken.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "code" / "raising.py").write_text("raise ValueError('at import')\n")
    async with running_agent(tmp_path / "node", directory=tmp_path / "code") as agent:
        yield agent


@pytest_asyncio.fixture
async def leader(agent: Agent) -> AsyncIterator[Leader]:
    async with Leader(agent.address) as leader:
        yield leader


@pytest_asyncio.fixture
async def session(leader: Leader) -> Session:
    return await leader.open()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


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


async def test_output_goes_to_the_log_of_its_attempt(leader: Leader, session: Session):
    tasks = []
    for number in range(12):
        task = task_id()
        tasks.append((task, number))
        name = ("say", "say_in_child", "add")[number % 3]
        arguments: tuple[object, ...] = (number,) if name == "add" else (f"text {number}",)
        await session.assign(task, python(f"usercode:{name}", *arguments))
        if number % 2:
            # No more than the slots at once: what waits may be handed back.
            await session.finished(tasks[-2][0])
            await session.finished(task)
    for task, number in tasks:
        text = f"text {number}\n".encode()
        expected = {"stdout": text, "stderr": text.upper()}
        if number % 3 == 1:
            expected["stderr"] = b""
        elif number % 3 == 2:
            expected = {"stdout": b"", "stderr": b""}
        assert await leader.logs(task) == expected


async def test_output_of_a_call_can_be_followed(leader: Leader, session: Session, tmp_path: Path):
    go = tmp_path / "go"
    task = task_id()
    await session.assign(task, python("usercode:say_slowly", "begin", str(go)))
    await session.started(task)
    stream = leader.stub.ReadLogs(pb.ReadLogsRequest(task_id=task, follow=True), timeout=20)
    chunks = []
    async for response in stream:
        chunks.append(response.chunk.data)
        go.touch()
    assert chunks == [b"begin\n", b"end\n"]


async def test_a_worker_whose_output_was_closed_goes_on(leader: Leader, session: Session):
    for _ in range(3):
        report = await session.run(python("usercode:close_output"))
        assert report.result.json == "null"
    task = task_id()
    await session.assign(task, python("usercode:say", "hello"))
    await session.finished(task)
    assert (await leader.logs(task))["stdout"] == b"hello\n"


@pytest.mark.parametrize(
    ("function", "text"),
    [("die", "SIGKILL"), ("segfault", "SIGSEGV"), ("quiet_exit", "code 0")],
)
async def test_a_dying_worker_fails_its_attempt_and_is_replaced(
    leader: Leader, session: Session, function: str, text: str
):
    task = task_id()
    await session.assign(task, python(f"usercode:{function}"))
    report = await session.finished(task)
    assert report.error.type == "WORKER_CRASHED"
    assert text in report.error.message
    assert report.start_time.seconds
    logs = await leader.logs(task)
    if function == "die":
        assert logs["stdout"] == b"last words\n"
    if function == "segfault":
        assert b"Segmentation fault" in logs["stderr"]
    for _ in range(4):
        assert (await session.run(python("usercode:add", 1))).result.json == "1"


async def test_a_timeout_kills_the_worker_and_its_children(session: Session, tmp_path: Path):
    pids = tmp_path / "pids"
    task = task_id()
    await session.assign(task, python("usercode:spawn_and_sleep", str(pids), timeout=0.3))
    report = await session.finished(task)
    assert report.error.type == "TIMEOUT"
    found = [int(word) for word in pids.read_text().split()]
    assert len(found) == 2
    await eventually(lambda: not any(map(alive, found)))
    assert (await session.run(python("usercode:add", 1))).result.json == "1"


async def test_a_cancelled_call_ends_and_the_ones_around_it_do_not(
    session: Session, tmp_path: Path
):
    for _ in range(30):
        await session.run(python("usercode:add", 1))
    pids = tmp_path / "pids"
    victim = task_id()
    others = [task_id() for _ in range(6)]
    await session.assign(victim, python("usercode:sleep", 1000, str(pids)))
    for task in others:
        await session.assign(task, python("usercode:add", 2))
    await eventually(lambda: pids.exists() and pids.read_text())
    await session.cancel(victim)
    assert (await session.finished(victim)).error.type == "CANCELLED"
    for task in others:
        await session.settled(task)
        assert {report.result.json for report in session.reports(task)} <= {"2"}
    assert not alive(int(pids.read_text()))


async def test_calls_queued_behind_one_that_turns_out_long_do_not_wait_for_it(session: Session):
    for _ in range(40):
        await session.run(python("usercode:sleep", 0))
    long_one = task_id()
    short = [task_id() for _ in range(40)]
    await session.assign(long_one, python("usercode:sleep", 1000))
    for task in short:
        await session.assign(task, python("usercode:sleep", 0))
    for task in short:
        # On a busy machine some may be handed back instead.
        await session.settled(task)
        assert {report.result.json for report in session.reports(task)} <= {"null"}
    assert any(session.reports(task) for task in short)
    assert not session.reports(long_one)
    await session.cancel(long_one)
    await session.finished(long_one)


async def test_two_slots_blocked_by_long_calls_hand_back_the_rest(session: Session):
    for _ in range(40):
        await session.run(python("usercode:sleep", 0))
    long_ones = [task_id(), task_id()]
    for task in long_ones:
        await session.assign(task, python("usercode:sleep", 1000))
    short = [task_id() for _ in range(10)]
    for task in short:
        await session.assign(task, python("usercode:sleep", 0))
    for task in short:
        await session.settled(task)
    assert any(session.returned(task) for task in short)
    await session.until(lambda: session.credit == 2)
    for task in long_ones:
        await session.cancel(task)
        assert (await session.finished(task)).error.type == "CANCELLED"


async def test_programs_and_calls_share_the_slots(session: Session):
    tasks = [task_id() for _ in range(20)]
    for number, task in enumerate(tasks):
        spec = python("usercode:add", 1) if number % 2 else command("true")
        await session.assign(task, spec)
        if number % 5 == 4:
            await session.settled(task)
    for task in tasks:
        await session.settled(task)
        for report in session.reports(task):
            assert report.WhichOneof("outcome") == "result"


async def test_old_workers_are_replaced_between_calls(tmp_path: Path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "usercode.py").write_text(MODULE)
    async with (
        running_agent(
            tmp_path / "node",
            slots=1,
            directory=tmp_path / "code",
            limits=WorkerLimits(max_tasks=10, max_bytes=0),
        ) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        pids = [(await session.run(python("usercode:pid"))).result.json for _ in range(25)]
    assert [len(set(pids[start : start + 10])) for start in (0, 10, 20)] == [1, 1, 1]
    assert len(set(pids)) == 3
