"""`quorate logs`: what is printed of a log, and what is said of what is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate import AsyncClient, Client
from quorate.cli.app import run
from quorate.v1 import scheduler_pb2 as pb
from tests.support.fake_scheduler import FakeCluster, FakeServer

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster: FakeCluster) -> str:
    return FakeServer(cluster).address


@pytest.fixture
def quorate(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: Any) -> Cli:
    monkeypatch.setenv("QUORATE_ADDRESS", address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.fixture
def task(cluster: FakeCluster, quorate: Cli) -> str:
    """It wrote two lines in three pieces, and one to standard error; what is between is gone."""
    assert quorate("submit", "--wait", "--", "true")[0] == 0
    (id,) = cluster.tasks
    at = [1_700_000_000_500, 1_700_000_000_750]
    chunks = [
        pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=0, data=b"one "),
        pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=4, data=b"hit\nsec"),
        pb.LogChunk(stream=pb.LOG_STREAM_STDERR, offset=0, data=b"err hit\n"),
        pb.LogChunk(stream=pb.LOG_STREAM_STDOUT, offset=2059, data=b"ond hit\n"),
    ]
    for chunk, instant in zip(chunks, (at[0], at[0], at[1], at[1]), strict=True):
        chunk.time.FromMilliseconds(instant)
    cluster.logs[id] = chunks
    return id


def test_what_is_gone_is_said_where_it_is_missing(quorate: Cli, task: str) -> None:
    code, out, err = quorate("logs", task)
    assert (code, out) == (0, "one hit\nsecond hit\n")
    assert err.splitlines() == [
        "err hit",
        "2 KiB of stdout are gone here, dropped by the node's --log-cap.",
    ]


def test_each_line_has_its_time_once(quorate: Cli, task: str) -> None:
    code, out, err = quorate("logs", "--timestamps", task)
    assert code == 0
    assert out.splitlines() == [
        "2023-11-14 22:13:20.500 one hit",
        "2023-11-14 22:13:20.500 second hit",
    ]
    assert err.splitlines()[0] == "2023-11-14 22:13:20.750 err hit"


def test_a_search_prints_lines_and_where_they_are(quorate: Cli, task: str) -> None:
    code, out, _ = quorate("logs", task, "--search", "hit")
    assert code == 0
    # The fake cluster looks piece by piece.
    assert out.splitlines() == ["stdout:4: hit", "stderr:0: err hit", "stdout:2059: ond hit"]
    code, out, _ = quorate("logs", task, "--search", "hit", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["stream"] for one in found] == [
        "LOG_STREAM_STDOUT",
        "LOG_STREAM_STDERR",
        "LOG_STREAM_STDOUT",
    ]
    code, out, err = quorate("logs", task, "--search", "nothing of this")
    assert (code, out) == (1, "")
    assert "No line has this text." in err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--search", "x", "--tail", "1"), "--search"),
        (("--search", "x", "-f"), "--search"),
        (("--head", "1", "--tail", "1"), "--head"),
        (("--head", "1", "--follow"), "--head"),
    ],
)
def test_options_that_do_not_go_together(
    quorate: Cli, task: str, words: tuple[str, ...], option: str
) -> None:
    code, _, err = quorate("logs", task, *words)
    assert code == 2
    assert option in err


def test_the_first_lines_are_asked_for(cluster: FakeCluster, quorate: Cli, task: str) -> None:
    assert quorate("logs", task, "--head", "1")[0] == 0
    assert cluster.log_requests[-1].head_lines == 1


async def test_both_clients_search(address: str, task: str) -> None:
    with Client(address) as client:
        found = list(client.get(task).search_logs("hit"))
    assert len(found) == 3
    async with AsyncClient(address) as other:
        assert [match async for match in other.get(task).search_logs("hit")] == found
