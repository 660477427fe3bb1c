"""Messages in Go over gRPC: to two queues, and consumed once, while the leader is killed."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from examples.clients.tests.building import BUILD_SECONDS, RECIPES
from examples.clients.tests.leaders import Cluster

MESSAGES = 60
RUN_SECONDS = 80
(_GO,) = (recipe for recipe in RECIPES if recipe.language == "go")


@pytest.mark.timeout(BUILD_SECONDS + RUN_SECONDS + 20)
@pytest.mark.parametrize("cluster", ["plaintext"], indirect=True)
def test_each_message_is_handled_once_while_a_leader_dies(
    cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "go" not in request.config.getoption("--languages").split(","):
        pytest.skip("--languages leaves Go out")
    program, *options = _GO.command()
    command = [str(Path(program).with_name("messages")), *options]
    lines: list[str] = []
    with (
        (tmp_path / "stderr").open("wb") as stderr,
        subprocess.Popen(
            [*command, "--count", str(MESSAGES), "--name", "go", *cluster.addresses],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **_GO.environment},
        ) as process,
    ):
        limit = threading.Timer(RUN_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip())
                if len(lines) == MESSAGES // 3:
                    cluster.kill_leader()
            code = process.wait()
        finally:
            limit.cancel()
            process.kill()

    errors = (tmp_path / "stderr").read_text()
    # It deletes its queues only if they are empty: all was acknowledged durably.
    assert code == 0, errors
    assert "the session is resumed" in errors
    wanted = [f"received go.{queue} hello {i}" for queue in "ab" for i in range(MESSAGES)]
    assert Counter(lines) == Counter(wanted)
