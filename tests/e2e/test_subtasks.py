"""Subtasks on a real cluster: each one's output is its own, from commands and from Python calls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError
from quorate.v1 import explain_pb2, task_pb2
from tests.support import tls
from tests.support.local import running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("subtasks") / "data"
    with running(LocalPlan(data_dir=data, schedulers=1, nodes=2, slots=2, secure=tls.ON)) as local:
        yield local


def speak(number: int) -> int:
    sys.stdout.write(f"out {number}\n")
    sys.stderr.write(f"err {number}\n")
    if number == 7:
        raise ValueError("seven")
    return number


def written(client: quorate.Client, task: str, *, follow: bool = False) -> tuple[bytes, bytes]:
    """What a subtask wrote to both streams."""
    streams = {1: b"", 2: b""}
    for chunk in client.get(task).logs(follow):
        assert chunk.offset == len(streams[chunk.stream])
        streams[chunk.stream] += chunk.data
    return streams[1], streams[2]


def test_each_call_of_an_array_has_its_own_output(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        job = client.array(speak, range(300))
        job.wait()
        for index in (0, 7, 150, 299):
            expected = (f"out {index}\n".encode(), f"err {index}\n".encode())
            assert written(client, f"{job.id}.{index}") == expected
        found = client.get(f"{job.id}.7").explain()
        assert found.reasons[0].reason == explain_pb2.EXPLAIN_REASON_FAILED
        assert "ValueError: seven" in found.sentence
        found = client.get(f"{job.id}.8").explain()
        assert found.sentence.startswith("attempt 1 succeeded on node n")


def test_each_program_of_an_array_has_its_own_output_also_while_it_runs(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    script = f"echo begin {{index}}; while [ ! -e {go} ]; do sleep 0.05; done; echo end {{index}}"
    with quorate.Client(data_dir=cluster.data_dir) as client:
        job = client.array(["sh", "-c", script], count=2)
        task = f"{job.id}.1"
        pieces = iter(client.get(task).logs(True))
        assert next(pieces).data == b"begin 1\n"
        go.touch()
        assert b"".join(piece.data for piece in pieces) == b"end 1\n"
        assert written(client, f"{job.id}.0", follow=True) == (b"begin 0\nend 0\n", b"")
        with pytest.raises(QuorateError, match="subtask"):
            client.get(task).retry()


def grow_with(number: int, marker: str) -> int:
    """Adds a task for each number below; the first 2 of the array fails once, when it has added."""
    here = quorate.current()
    for below in range(number):
        here.submit(grow_with, below, marker)
    if number == 2 and "." in here.task_id and not Path(marker).exists():
        Path(marker).touch()
        raise OSError("once")
    return number


async def branches(number: int) -> int:
    """As `grow_with`, without waiting for one call before the next."""
    here = quorate.async_current()
    await here.progress(0.5, "adding")
    added = [here.options(name="async").submit(branches, below) for below in range(number)]
    await asyncio.gather(*added)
    return number


def test_coroutines_add_tasks_to_their_job(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        job = client.array(branches, [2, 3])
        assert job.wait(60).counts.succeeded == 2
        states = [task.state for task in client.tasks(text="async", page_size=100)]
        assert len(states) == 3 + 7
        assert set(states) == {task_pb2.TASK_STATE_SUCCEEDED}


def test_subtasks_add_tasks_to_their_job_and_a_second_run_doubles_none(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        marker = tmp_path / "ran once"
        job = client.array(grow_with, [2, 3], args=[str(marker)], retries=1, backoff=0.1)
        assert job.wait(60).counts.succeeded == 2
        assert marker.exists()
        states = [task.state for task in client.tasks(text="grow", page_size=100)]
        # Of 2 and of 3: each number adds all below it. What ran twice added nothing twice.
        assert len(states) == 3 + 7
        assert set(states) == {task_pb2.TASK_STATE_SUCCEEDED}
        with pytest.raises(RuntimeError):
            quorate.current()
