"""Attempts held to their terms on a real agent: privileges, environment, secrets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.task.environment import patterns
from node_agent.task.secrets import Secrets
from quorate.v1 import task_pb2
from tests.support.agent import command, python
from tests.support.confined import OUTPUT, PLAIN, Run, running

# -- privileges and environment ----------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "flag"), [(False, "1"), (True, "0")])
async def test_no_task_gains_privileges_unless_it_may(
    tmp_path: Path, allowed: bool, flag: str
) -> None:
    confinement = replace(PLAIN, new_privileges=allowed)
    look = "grep NoNewPrivs /proc/self/status"
    async with running(tmp_path / "node", confinement) as run:
        assert (await run.sh(look)).split() == ["NoNewPrivs:", flag]
        assert await run.call(OUTPUT, look) == f'"NoNewPrivs:\\t{flag}"'


async def test_tasks_see_what_they_are_to_see_of_the_agents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_OWN", "hunter2")
    async with running(tmp_path / "node", PLAIN) as run:
        names = {line.partition("=")[0] for line in (await run.sh("env")).splitlines()}
        ours = {name for name in names if name.startswith("QUORATE_")}
        # PWD is the shell's own.
        assert names - ours - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "LC_ALL"}
        assert "QUORATE_TASK_ID" in ours
        for named in ("AGENTS_OWN", "PATH"):
            found = await run.call("os:getenv", named)
            assert found == ("null" if named == "AGENTS_OWN" else f'"{os.environ["PATH"]}"')
        spawner = (await run.sh('cat /proc/$PPID/environ | tr "\\0" "\\n"')).splitlines()
        if os.geteuid() == 0:
            assert {line.partition("=")[0] for line in spawner} == {"PATH", "LC_ALL"}
        else:
            # The kernel shows that of a protected process to root alone.
            (refused,) = spawner
            assert refused.endswith("Permission denied")


# -- secrets -----------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def secretive(tmp_path: Path) -> AsyncIterator[Run]:
    (tmp_path / "secrets" / "db").mkdir(parents=True)
    (tmp_path / "secrets" / "db" / "pw").write_text("hunter2\n")
    secrets = Secrets(
        tmp_path / "secrets", patterns("API_*"), {"API_KEY": "k3y", "AGENTS_OWN": "no"}
    )
    async with running(tmp_path / "node", PLAIN, secrets=secrets) as run:
        yield run


REFS = {"PW": task_pb2.SecretRef(file="db/pw"), "KEY": task_pb2.SecretRef(env="API_KEY")}


async def test_secrets_are_in_the_environment_of_the_task_and_nowhere_else(secretive: Run) -> None:
    # Also beside an input so large that the message goes through a file.
    for stdin in (b"", b"x" * 100_000):
        said = await secretive.sh('cat >/dev/null; echo "$PW $KEY"', secrets=REFS, stdin=stdin)
        assert said == "hunter2 k3y\n"
    assert await secretive.sh('echo "[$PW$KEY]"') == "[]\n"
    spec = python(OUTPUT, 'echo "$PW $KEY"', secrets=REFS, json='["echo $PW $KEY"]')
    report, _ = await secretive(spec)
    assert report.result.json == '"hunter2 k3y"'
    assert await secretive.call(OUTPUT, 'echo "[$PW$KEY]"') == '"[]"'


async def test_a_secret_hides_a_variable_only_while_the_function_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "pw").write_text("hunter2")
    terms = replace(PLAIN, environment={**PLAIN.environment, "PW": "the agent's"})
    async with running(tmp_path / "node", terms, secrets=Secrets(tmp_path)) as run:
        refs = {"PW": task_pb2.SecretRef(file="pw")}
        spec = python("os:getenv", secrets=refs, json='["PW"]')
        report, _ = await run(spec)
        assert report.result.json == '"hunter2"'
        assert await run.call("os:getenv", "PW") == '"the agent\'s"'
        # Whatever the function does to it meanwhile.
        spec = python("os:unsetenv", secrets=refs, json='["PW"]')
        await run(spec)
        assert await run.call(OUTPUT, "echo $PW") == '"the agent\'s"'


async def test_a_secret_that_is_not_here_fails_the_attempt_by_name(secretive: Run) -> None:
    for refs, name in (
        ({"A": task_pb2.SecretRef(file="db/none")}, "file:db/none"),
        ({"A": task_pb2.SecretRef(file="../node/lock")}, "file:../node/lock"),
        ({"A": task_pb2.SecretRef(env="AGENTS_OWN")}, "env:AGENTS_OWN"),
        ({"A": task_pb2.SecretRef()}, "file:"),
    ):
        for spec in (command("true", secrets=refs), python("os:getpid", secrets=refs, json="[]")):
            report, said = await secretive(spec)
            assert report.error.type == "SECRET_NOT_FOUND"
            assert name in report.error.message
            assert said == ""
    # The lane goes on.
    assert await secretive.sh("echo on") == "on\n"
    assert await secretive.call("os:getenv", "NONE") == "null"


# -- a worker that lies ------------------------------------------------------------------------


async def test_user_code_that_writes_to_the_agents_socket_ends_its_worker_and_no_more(
    tmp_path: Path,
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    async with running(tmp_path / "node", PLAIN) as run:
        script = "import os; os.write(3, {!r})"
        for data in (f"{victim}\0".encode(), b"\x01", b"\x02zzz", b"\x00" * 200):
            report, _ = await run(python("builtins:exec", script.format(data)))
            assert report.error.type == "WORKER_CRASHED", data
        assert victim.read_text() == "keep me"


def _read(path: str) -> str:
    return Path(path).read_text().strip() if Path(path).exists() else ""
