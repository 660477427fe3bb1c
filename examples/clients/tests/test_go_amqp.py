"""RabbitMQ's Go tutorials against `quorate up --amqp`: a work queue, publish and subscribe."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from queue import Queue
from typing import Protocol

import pytest

from examples.clients.tests.building import BUILD_SECONDS, GO_AMQP
from quorate.local.plan import LocalPlan
from tests.support.amqp import door_of
from tests.support.local import running

# Of any wait.
SECONDS = 60
TEXTS = [f"task {number}" for number in range(20)]
pytestmark = pytest.mark.timeout(BUILD_SECONDS + 2 * SECONDS)


class Program:
    """One that runs. What it prints goes to `lines`, which several programs may share."""

    def __init__(self, command: list[str], lines: Queue[str]) -> None:
        self._lines = lines
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.rstrip())

    def lines(self, count: int) -> list[str]:
        """The next ones."""
        return [self._lines.get(timeout=SECONDS) for _ in range(count)]

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join()


class Start(Protocol):
    def __call__(self, *arguments: str, lines: Queue[str] | None = None) -> Program: ...


@pytest.fixture(scope="module")
def command(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[list[str]]:
    """The program and the address of a broker."""
    if "go" not in request.config.getoption("--languages").split(","):
        pytest.skip("--languages leaves Go out")
    built = GO_AMQP.command()
    folder = tmp_path_factory.mktemp("amqp") / "c"
    with running(
        LocalPlan(data_dir=folder, schedulers=1, nodes=1, gateway=True, amqp=True)
    ) as local:
        yield [*built, door_of(local).url]


@pytest.fixture
def start(command: list[str]) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*arguments: str, lines: Queue[str] | None = None) -> Program:
            program = Program([*command, *arguments], Queue() if lines is None else lines)
            stack.callback(program.kill)
            return program

        yield begin


def test_workers_share_tasks_and_a_killed_one_gives_its_task_back(start: Start) -> None:
    slow = start("worker", "work", "1h")
    assert slow.lines(1) == ["waiting"]
    assert start("new_task", "work", "long...").end() == 0
    assert slow.lines(1) == ["received false long..."]
    slow.kill()

    lines: Queue[str] = Queue()
    worker, _ = (start("worker", "work", "0s", lines=lines) for _ in range(2))
    assert start("new_task", "work", *TEXTS).end() == 0
    found = worker.lines(2 + 2 * (1 + len(TEXTS)))
    wanted = ["waiting", "waiting", "received true long...", "done long..."]
    wanted += [line for text in TEXTS for line in (f"received false {text}", f"done {text}")]
    assert sorted(found) == sorted(wanted)


def test_everybody_who_listens_gets_each_message(start: Start) -> None:
    listeners = [start("receive_logs", "logs") for _ in range(3)]
    assert [one.lines(1) for one in listeners] == [["waiting"]] * 3
    assert start("emit_log", "logs", *TEXTS).end() == 0
    wanted = [f"received {text}" for text in TEXTS]
    assert [one.lines(len(TEXTS)) for one in listeners] == [wanted] * 3
