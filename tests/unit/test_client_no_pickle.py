"""Who submitted a program, or a call with JSON, runs no code that an answer brings along.

An unpickled answer runs what whoever made it likes: for them that would be any node that is
compromised, and any function that shares a worker with theirs.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """Is there once a trap was unpickled."""
    return tmp_path / "sprung"


@pytest.fixture(params=["result", "error"])
def cluster(
    request: pytest.FixtureRequest, sprung: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeCluster]:
    """All of its nodes answer everything with a trap."""
    cluster = FakeCluster()
    trap = pickle.dumps(Trap(sprung))
    answer: tuple[Any, Any] = (task_pb2.TaskResult(pickle=trap), None)
    if request.param == "error":
        answer = (None, task_pb2.TaskError(type="EXIT_CODE", message="no", code=3, pickle=trap))
    monkeypatch.setattr(cluster, "_outcome", lambda _task: answer)
    yield cluster
    cluster.close()


def test_handles_do_not_unpickle_what_nobody_asked_to_be_pickled(
    cluster: FakeCluster, sprung: Path
) -> None:
    with Client(FakeServer(cluster).address) as client:
        handles = [
            client.command(["true"]),
            client.submit_json("math:hypot", [3, 4]),
            *client.submit_batch([task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))]),
        ]
        for handle in handles:
            with pytest.raises(TaskFailed):
                handle.result(20)
        assert not sprung.exists()
        # The trap is a good one: it is what those agree to who pickle their arguments.
        with suppress(TaskFailed):
            client.submit(abs, -1).result(20)
        assert sprung.exists()


async def test_awaited_handles_do_not_either(cluster: FakeCluster, sprung: Path) -> None:
    async with AsyncClient(FakeServer(cluster).address) as client:
        for handle in (await client.command(["true"]), await client.submit_json("os:getpid")):
            with pytest.raises(TaskFailed):
                await asyncio.wait_for(handle.result(), 60)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--wait", "--", "true"),
        ("submit", "--times", "2", "--wait", "--", "true"),
        ("call", "math:hypot", "[3, 4]"),
    ],
)
def test_neither_does_the_command_line(
    cluster: FakeCluster,
    sprung: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    failed = request.node.callspec.params["cluster"] == "error"
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    code, err = run(list(words)), capfd.readouterr().err
    # It was there to be read: what failed says why.
    assert (code != 0) == ("EXIT_CODE: no" in err) == failed
    assert not sprung.exists()
