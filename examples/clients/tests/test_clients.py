"""Each client keeps its promises while the leader is killed (issue 4, "Done when" 7).

Three leaders are SIGKILLed under each client: while it submits, while it watches, while it reads
logs. All the same every task is told finished once, is on record once, ran once, and its log is
read.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from examples.clients.tests.building import BUILD_SECONDS, Recipe
from examples.clients.tests.leaders import Cluster
from quorate.v1 import task_pb2

# None starts before the last is submitted; then a task takes 50 ms and four run at once, so that
# the watch is open for at least 1.5 s.
TASKS = 120
# Kill the leader when the client has printed so many lines of a kind.
KILLS = {"created": TASKS // 3, "TASK_STATE_SUCCEEDED": 1, "log": TASKS // 3}
RUN_SECONDS = 80


@dataclass(slots=True)
class Told:
    """What a client printed."""

    created: list[str] = field(default_factory=list)
    finished: list[tuple[str, str]] = field(default_factory=list)
    """(state, id)"""
    logs: list[tuple[str, str]] = field(default_factory=list)
    """(id, text)"""
    at_kill: list[tuple[str, int]] = field(default_factory=list)
    """Kind and number of the line that a leader was killed at."""

    def add(self, line: str) -> tuple[str, int]:
        """Note one line; its kind, and how many of that kind there are now."""
        kind, task, text = [*line.rstrip("\n").split(" ", 2), ""][:3]
        if kind == "created":
            self.created.append(task)
            return kind, len(self.created)
        if kind == "log":
            self.logs.append((task, text))
            return kind, len(self.logs)
        self.finished.append((kind, task))
        return kind, len(self.finished)


def run(recipe: Recipe, cluster: Cluster, errors: Path) -> Told:
    """Run a client to its end, killing leaders meanwhile."""
    told = Told()
    command = recipe.command()
    cluster.hold()
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [*command, "--tasks", str(TASKS), *cluster.addresses],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **recipe.environment, **cluster.environment},
        ) as process,
    ):
        # A client that waits for what never comes would otherwise be read from for ever.
        limit = threading.Timer(RUN_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                kind, number = told.add(line)
                if KILLS.get(kind) == number:
                    cluster.kill_leader()
                    told.at_kill.append((kind, number))
                if (kind, number) == ("created", TASKS):
                    cluster.release()
            code = process.wait()
        finally:
            limit.cancel()
            process.kill()
            cluster.release()
    assert code == 0, errors.read_text()
    return told


@pytest.mark.timeout(BUILD_SECONDS + RUN_SECONDS + 20)
def test_every_task_succeeds_once_and_is_read_while_leaders_die(
    cluster: Cluster, recipe: Recipe, tmp_path: Path
) -> None:
    errors = tmp_path / "stderr"
    told = run(recipe, cluster, errors)

    assert dict(told.at_kill) == KILLS
    # The second leader died under an open watch.
    assert "the watch is resumed" in errors.read_text()
    assert len(set(told.created)) == TASKS
    assert {state for state, _ in told.finished} == {"TASK_STATE_SUCCEEDED"}
    assert Counter(task for _, task in told.finished) == Counter(told.created)
    assert told.logs == [
        (task, f"hello {number} from {recipe.language}") for number, task in enumerate(told.created)
    ]

    on_record = cluster.tasks_of(recipe.language)
    assert Counter(task.id for task in on_record) == Counter(told.created)
    assert {task.state for task in on_record} == {task_pb2.TASK_STATE_SUCCEEDED}
    # No node died, so none had a reason to run twice.
    assert {task.attempt for task in on_record} == {1}
