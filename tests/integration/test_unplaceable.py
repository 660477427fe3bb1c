"""What no registered node can hold is accepted, and whoever creates it is told so at once."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import quorate
from quorate.cli.app import application
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.errors import UnplaceableWarning
from tests.support.auth import Locked, locked

# Options of the SDK, flags of the command line, and what is said of them.
TOO_MUCH: dict[str, tuple[dict[str, Any], tuple[str, str], str]] = {
    "memory": ({"memory": 900 << 30}, ("--memory", "900G"), "has 900 GiB of memory (the most is"),
    "cores": ({"cpu": 1_000.0}, ("--cpu", "1000"), "has 1000 cores (the most is"),
    "a device": ({"resources": {"gpu": 1}}, ("--resource", "gpu=1"), "has 1 gpu (the most is 0)"),
}
too_much = pytest.mark.parametrize("kind", TOO_MUCH)


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("unplaceable")) as started:
        yield started


@pytest.fixture
def client(cluster: Locked) -> Iterator[Client]:
    tls = cluster.leaf("admin:alice").client
    with Client(cluster.schedulers[0], tls=tls).options(queue="mail") as client:
        yield client
        client.cancel_tasks(queue="mail")


def cli(cluster: Locked, *words: str) -> Result:
    where = (f"--address={cluster.schedulers[0]}", *cluster.leaf("admin:alice").flags)
    size = 2 if words[0] == "service" else 1
    line = [*words[:size], *where, *words[size:]]
    answer = CliRunner().invoke(application(words[0]), line, env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    return answer


@pytest.mark.usefixtures("client")
@too_much
@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--queue", "mail", "--", "true"),
        # It cannot start when its time has come either.
        ("submit", "--queue", "mail", "--delay", "3600", "--", "true"),
        ("submit", "--queue", "mail", "--times", "3", "--", "true"),
        ("call", "--queue", "mail", "--no-wait", "math:hypot", "[3, 4]"),
    ],
    ids=["submit", "later", "many", "call"],
)
def test_the_command_line_warns_and_accepts(
    cluster: Locked, kind: str, words: tuple[str, ...]
) -> None:
    _, flags, said = TOO_MUCH[kind]
    answer = cli(cluster, words[0], *flags, *words[1:])
    assert answer.stderr.startswith("warning: no node ")
    assert said in answer.stderr
    assert answer.stderr.count("warning") == 1
    assert len(answer.stdout.split()) == (3 if "--times" in words else 1)


@pytest.mark.usefixtures("client")
def test_the_command_line_says_nothing_where_a_node_is_large_enough(cluster: Locked) -> None:
    flags = ("--cpu", "0.1", "--memory", "1M", "--label", "zone=nowhere")
    assert cli(cluster, "submit", "--queue", "mail", *flags, "--", "true").stderr == ""
    # It fits as what it needs together, too: nothing.
    assert cli(cluster, "submit", "--queue", "mail", "--", "true").stderr == ""


@too_much
def test_the_sdk_warns_at_the_line_that_asked(client: Client, kind: str) -> None:
    options, _, said = TOO_MUCH[kind]
    large = client.options(**options)
    for create in (
        lambda: large.submit(pow, 2, 10),
        lambda: large.command(["true"]),
        lambda: large.submit_json("math:hypot", [3, 4]),
        lambda: large.submit_many(pow, [(2, 1), (2, 2)]),
    ):
        with pytest.warns(UnplaceableWarning, match="no node ") as seen:
            assert create()
        assert len(seen) == 1
        assert said in str(seen[0].message)
        assert seen[0].filename == __file__


def test_a_repeat_under_the_same_request_id_warns_again(client: Client) -> None:
    again = client.options(memory=900 << 30, request_id="the-same")
    with pytest.warns(UnplaceableWarning):
        first = again.command(["true"])
    with pytest.warns(UnplaceableWarning):
        assert again.command(["true"]).id == first.id


def test_a_task_that_waits_for_a_node_says_so(cluster: Locked, client: Client) -> None:
    with pytest.warns(UnplaceableWarning):
        handle = client.options(memory=900 << 30).command(["true"])
    reason = handle.task().pending_reason
    assert reason.startswith("no node has 900 GiB of memory (the most is")
    listed = [task.pending_reason for task in client.tasks(queue="mail", states=["pending"])]
    assert listed == [reason]
    assert "fits no node" in cli(cluster, "tasks", "--queue", "mail").stdout
    assert "900 GiB" in cli(cluster, "task", handle.id).stdout


def test_as_an_error_it_is_raised_and_the_task_is_there_all_the_same(client: Client) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnplaceableWarning):
            client.options(memory=900 << 30, name="raised").command(["true"])
    assert [task.spec.name for task in client.tasks(queue="mail", states=["pending"])] == ["raised"]


def test_a_map_warns_and_ends_its_tasks_when_it_is_given_up(client: Client) -> None:
    large = client.options(memory=900 << 30)
    with pytest.warns(UnplaceableWarning) as seen, pytest.raises(TimeoutError):
        list(large.map(abs, itertools.count(), chunk=1, timeout=1.0))
    assert {str(one.message).partition(" (")[0] for one in seen} == {
        "no node has 900 GiB of memory"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnplaceableWarning):
            list(large.map(abs, [1], chunk=1))
    # What it had created is cancelled, as when anything else is raised there.
    assert not list(client.tasks(queue="mail", states=["pending"]))


@pytest.mark.parametrize("filter_", ["always", "error"])
def test_an_executor_warns_from_its_own_thread_and_goes_on(cluster: Locked, filter_: Any) -> None:
    tls = cluster.leaf("admin:alice").client
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(filter_, UnplaceableWarning)
        with (
            Client(cluster.schedulers[0], tls=tls) as client,
            quorate.Executor(client=client, queue="mail", memory=900 << 30) as pool,
        ):
            future = pool.submit(abs, -1)
            end = time.monotonic() + 20
            while not future.task_id:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert not future.done()
            client.cancel_tasks([future.task_id])
    assert future.cancelled()
    assert len(seen) == (filter_ == "always")


async def test_an_asynchronous_client_warns(cluster: Locked) -> None:
    tls = cluster.leaf("admin:alice").client
    async with AsyncClient(cluster.schedulers[0], tls=tls) as client:
        large = client.options(queue="mail", cpu=1_000.0)
        with pytest.warns(UnplaceableWarning, match="has 1000 cores") as seen:
            handle = await large.submit(abs, -1)
        assert seen[0].filename == __file__
        await handle.cancel()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UnplaceableWarning):
                await anext(large.map(abs, [1, 2], chunk=1))
        left = await client.cancel_tasks(queue="mail", states=["pending"], dry_run=True)
        assert left.cancelled == 0


@pytest.mark.usefixtures("client")
@too_much
def test_a_service_whose_replicas_fit_no_node_says_so(cluster: Locked, kind: str) -> None:
    _, flags, said = TOO_MUCH[kind]
    name = f"large-{kind.replace(' ', '-')}"
    small = cli(cluster, "service", "create", name, "--replicas", "0", *flags, "--", "true")
    # It has no replica that could not start.
    assert small.stderr == ""
    try:
        scaled = cli(cluster, "service", "scale", name, "2")
        assert scaled.stdout == f"{name} scaled to 2\n"
        assert scaled.stderr.startswith("warning: no node ")
        assert said in scaled.stderr
        shown = cli(cluster, "service", "show", name)
        assert "fits no node" in shown.stdout
        assert said in shown.stderr
        updated = cli(cluster, "service", "update", name, "--memory", "1M")
        assert bool(updated.stderr) == (kind != "memory")
    finally:
        cli(cluster, "service", "delete", name)
