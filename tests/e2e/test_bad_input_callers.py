"""Bad input through the SDK and the command line: refused by name, or failed with a type."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import quorate
from quorate.client.errors import ArgumentNotSerialisable, PayloadTooLarge, TaskFailed
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.errors import QuorateError
from quorate.runtime.network.free_port import free_port
from tests.support.forked import Ended, run, run_from_scratch
from tests.support.served import Served, serve

NO_TASK = "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15


@pytest.fixture(scope="module")
def served(etcd_server: EtcdProcess) -> Iterator[Served]:
    with serve(etcd_server.endpoint, nodes=1) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[quorate.Client]:
    with quorate.Client(served.address) as client:
        yield client


def made(client: quorate.Client) -> int:
    """Tasks on record."""
    cluster = client.cluster()
    return cluster.live_tasks + cluster.retained_tasks


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


# -- the SDK

# Not typed, so that it can be called wrongly.
anything: Any = len


@pytest.mark.parametrize(
    "argument", [threading.Lock(), Unpicklable(), (n for n in "x")], ids=["lock", "class", "gen"]
)
def test_arguments_that_do_not_serialise_are_named(client: quorate.Client, argument: Any) -> None:
    before = made(client)
    for call, name in (
        (lambda: client.submit(anything, "fine", argument), "argument 2"),
        (lambda: client.submit(anything, key=argument), "argument 'key'"),
        (lambda: list(client.map(len, ["fine", argument])), "item at position 1"),
    ):
        with pytest.raises(ArgumentNotSerialisable) as rejection:
            call()
        assert rejection.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert name in rejection.value.message
        assert type(argument).__name__ in rejection.value.message
    assert made(client) == before


def test_arguments_over_the_limit_name_the_limit(client: quorate.Client) -> None:
    before = made(client)
    with pytest.raises(PayloadTooLarge) as rejection:
        client.submit(len, b"x" * (256 << 10))
    assert rejection.value.metadata["limit"] == str(256 << 10)
    assert made(client) == before


@pytest.mark.parametrize(
    ("work", "field"), [("no_colon", "entrypoint"), ("a:", "entrypoint"), (7, "entrypoint")]
)
def test_what_is_not_callable_is_refused_at_once(
    client: quorate.Client, work: Any, field: str
) -> None:
    before = made(client)
    with pytest.raises(QuorateError) as rejection:
        client.submit(work)
    assert rejection.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert rejection.value.metadata["field"] == field
    assert made(client) == before


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        ("no_such_module:f", "ENTRYPOINT_NOT_FOUND"),
        ("json:no_such", "ENTRYPOINT_NOT_FOUND"),
        ("math:pi", "ENTRYPOINT_NOT_CALLABLE"),
    ],
)
def test_what_the_node_cannot_call_fails_typed(
    client: quorate.Client, work: str, kind: str
) -> None:
    with pytest.raises(TaskFailed) as failure:
        client.submit(work).result(timeout=60)
    assert failure.value.type == kind


@pytest.mark.parametrize("argv", [[], [""], "true"], ids=["empty", "blank", "a string"])
def test_an_argv_that_names_no_program(client: quorate.Client, argv: Any) -> None:
    before = made(client)
    with pytest.raises(QuorateError) as rejection:
        client.command(argv)
    assert rejection.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert rejection.value.metadata["field"] == "argv"
    assert made(client) == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout": -1}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 1e12}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"priority": 5_000}, "priority"),
        ({"cpu": -1.0}, "cpu"),
        ({"cpu": float("nan")}, "cpu"),
        ({"memory": -1}, "memory"),
        ({"retries": -1}, "retries"),
        ({"delay": 1e12}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"not_before": float("nan")}, "not_before"),
        ({"not_before": 1e300}, "not_before"),
        ({"not_before": -1.0}, "not_before"),
        ({"backoff": 1e12}, "backoff"),
        ({"priority": 2**40}, "priority"),
        ({"retries": 2**31 - 1}, "retries"),
        ({"memory": 2**70}, "memory"),
        ({"resources": {"gpu": 2**70}}, "resources"),
        ({"resources": {"GPU": 1}}, "resources"),
        ({"name": "x" * 129}, "name"),
        ({"queue": "No Such"}, "queue"),
    ],
)
def test_options_out_of_bounds_name_the_field(
    client: quorate.Client, options: dict[str, Any], field: str
) -> None:
    before = made(client)
    with pytest.raises(QuorateError) as rejection:
        client.options(**options).submit(len, "x")
    assert rejection.value.code is grpc.StatusCode.INVALID_ARGUMENT
    named = rejection.value.metadata["field"]
    assert field in named or (field, named) in (
        ("retries", "spec.retry.max_attempts"),
        ("delay", "spec.not_before"),
    )
    assert made(client) == before


def test_an_unknown_queue(client: quorate.Client) -> None:
    with pytest.raises(QuorateError) as rejection:
        client.options(queue="nowhere").submit(len, "x")
    assert (rejection.value.code, rejection.value.reason) == (
        grpc.StatusCode.NOT_FOUND,
        "QUEUE_NOT_FOUND",
    )


def test_a_cluster_that_is_not_there() -> None:
    with (
        quorate.Client(f"127.0.0.1:{free_port()}", retry_for=0.2) as client,
        pytest.raises(QuorateError) as rejection,
    ):
        client.submit(len, "x")
    assert rejection.value.code is grpc.StatusCode.UNAVAILABLE


# -- the command line


MARS = ("--cron", "@daily", "--zone", "Mars/Base")
USAGE, MISSING, NO_CLUSTER, REFUSED, TASK_FAILED = 2, 3, 4, 5, 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("submit", "--", ""), USAGE, "argv"),
        (("submit",), USAGE, "COMMAND"),
        (("submit", "-q", "nowhere", "--", "true"), MISSING, "'nowhere'"),
        (("submit", "-q", "No Such", "--", "true"), USAGE, "queue"),
        (("submit", "--timeout=-1", "--", "true"), USAGE, "timeout"),
        (("submit", "--timeout=1e12", "--", "true"), USAGE, "timeout"),
        (("submit", "--timeout=nan", "--", "true"), USAGE, "timeout"),
        (("submit", "--priority=5000", "--", "true"), USAGE, "priority"),
        (("submit", "--priority=5000000000", "--", "true"), USAGE, "priority"),
        (("submit", "--retries=5000000000", "--", "true"), USAGE, "retries"),
        (("submit", "--memory=99999999T", "--", "true"), USAGE, "memory"),
        (("submit", "--delay=1e12", "--", "true"), USAGE, "delay"),
        (("submit", "--cpu=-1", "--", "true"), USAGE, "cpu"),
        (("submit", "--memory=much", "--", "true"), USAGE, "--memory"),
        (("submit", "--resource=gpu", "--", "true"), USAGE, "KEY=VALUE"),
        (("submit", "--env", "=x", "--", "true"), USAGE, "KEY=VALUE"),
        (("submit", "--cwd", "relative", "--", "true"), USAGE, "cwd"),
        (("submit", "--stdin", "/no/such/file", "--", "cat"), USAGE, "/no/such/file"),
        (("submit", "--times", "10001", "--", "true"), USAGE, "10000"),
        (("call", "no_colon"), USAGE, "module:function"),
        (("call", "math:sqrt", "[1,"), USAGE, "JSON"),
        (("call", "math:sqrt", "[NaN]"), USAGE, "JSON"),
        (("call", "no_such_module:f"), TASK_FAILED, "ENTRYPOINT_NOT_FOUND"),
        (("call", "math:pi"), TASK_FAILED, "ENTRYPOINT_NOT_CALLABLE"),
        (("map", "math:sqrt", "--items", "/no/such/file"), USAGE, "/no/such/file"),
        (("task", "no-such-task"), MISSING, "'no-such-task'"),
        (("logs", NO_TASK), MISSING, NO_TASK),
        (("cancel", NO_TASK), MISSING, NO_TASK),
        (("drain", "nowhere"), MISSING, "'nowhere'"),
        (("tasks", "--queue", "nowhere"), MISSING, "'nowhere'"),
        (("submit", "--array", "1-10000001", "--", "true"), USAGE, "10,000,000"),
        (("submit", "--array", "1-1000000000", "--", "true"), USAGE, "10,000,000"),
        (("submit", "--array", "1-3", "--", "echo", "{}"), USAGE, "{}"),
        (("submit", "--limit", "nowhere", "--", "true"), MISSING, "nowhere"),
        (("submit", "--unique-key", "k" * 10_240, "--", "true"), USAGE, "256"),
        (("schedule", "create", "x", "--cron", "61 * * * *", "--", "true"), USAGE, "cron"),
        (("schedule", "create", "x", "--cron", "0 0 30 2 *", "--", "true"), USAGE, "cron"),
        (("schedule", "create", "x", *MARS, "--", "true"), USAGE, "Mars/Base"),
        (("limit", "create", "x", "--max-running", "0"), USAGE, "max"),
        (("queue", "update", "default", "--max-running", "0"), USAGE, "max"),
        (("cancel",), USAGE, "--all"),
        (("retry",), USAGE, "--all"),
        (("delete",), USAGE, "--all"),
        (("update", "--priority", "1"), USAGE, "--all"),
        (("job", "retry", NO_TASK), MISSING, NO_TASK),
        (("nonsense",), USAGE, "nonsense"),
        (("tasks", "--address", "nowhere"), USAGE, "nowhere"),
        (("tasks", "--address", "127.0.0.1:1", "--retry-for", "0.1"), NO_CLUSTER, "127.0.0.1:1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_command_line_says_one_sentence_and_fails(
    served: Served, client: quorate.Client, words: tuple[str, ...], code: int, said: str
) -> None:
    before = made(client)
    fails(run("quorate", *words, QUORATE_ADDRESS=served.address), code, said)
    if code != TASK_FAILED:
        assert made(client) == before


def test_a_job_that_runs_is_not_retried_nor_is_its_queue_deleted(
    served: Served, tmp_path: Path
) -> None:
    def quorate(*words: str) -> Ended:
        return run("quorate", *words, QUORATE_ADDRESS=served.address)

    assert quorate("queue", "create", "busy").code == 0
    lines = tmp_path / "lines"
    lines.write_text("600\n")
    open_job = ("submit", "-q", "busy", "--open", "--each-line", str(lines))
    job = quorate(*open_job, "--", "sleep", "{}").out.split()[0]
    fails(quorate("job", "retry", job), REFUSED, "only a finished job")
    fails(quorate("queue", "delete", "busy"), REFUSED, "busy")
    # A stream: what came before the line that is too large is there, and it says how to go on.
    lines.write_text(f"1\n2\n{'x' * (1 << 20)}x\n4\n")
    said = quorate("job", "append", job, "--each-line", str(lines))
    assert (said.code, said.out) == (USAGE, "")
    assert "2 items of these were appended. Go on with: quorate job append" in said.err
    assert "the item at position 3 is 1,048,577 bytes, the limit is 1,048,576" in said.err
    assert json.loads(quorate("job", job, "--json").out)["count"] == "3"
    assert quorate("job", "cancel", job).code == 0
    # A task that waits again is not retried once more.
    task = quorate("submit", "--delay", "600", "--", "sleep", "600").out.split()[0]
    assert quorate("cancel", task).code == 0
    assert quorate("retry", task).code == 0
    fails(quorate("retry", task), REFUSED, task)
    assert quorate("cancel", task).code == 0


def graph_file(path: Path, waits: dict[str, str]) -> tuple[str, ...]:
    """A graph of which each task waits for another one, if any."""
    tasks = {name: {"command": ["true"], "after": other} for name, other in waits.items() if other}
    tasks |= {name: {"command": ["true"]} for name, other in waits.items() if not other}
    path.write_text(json.dumps({"tasks": tasks}))
    return ("submit", "--graph", str(path))


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        ({"a": "b", "b": "a"}, "cycle"),
        ({"a": "nobody"}, "nobody"),
        (dict.fromkeys((f"t{number}" for number in range(10_001)), ""), "10000"),
    ],
    ids=("cycle", "unknown", "too many"),
)
def test_a_graph_that_cannot_be_is_one_sentence(
    served: Served, client: quorate.Client, tmp_path: Path, waits: dict[str, str], said: str
) -> None:
    before = made(client)
    words = graph_file(tmp_path / "graph.json", waits)
    fails(run("quorate", *words, QUORATE_ADDRESS=served.address), USAGE, said)
    assert made(client) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("submit", "--timeout=-1", "--", "true"), USAGE, "timeout"),
        (("call", "no_such_module:f"), TASK_FAILED, "ENTRYPOINT_NOT_FOUND"),
        (("cancel", NO_TASK), MISSING, NO_TASK),
        (("tasks", "--address", "127.0.0.1:1", "--retry-for", "0.1"), NO_CLUSTER, "127.0.0.1:1"),
    ],
)
def test_the_installed_command_does(
    served: Served, words: tuple[str, ...], code: int, said: str
) -> None:
    fails(run_from_scratch("quorate", *words, QUORATE_ADDRESS=served.address), code, said)


def fails(result: Ended, code: int, said: str) -> None:
    """A command ended with this code, and a sentence with `said` in it."""
    assert (result.code, result.out) == (code, ""), result.err
    assert "Traceback" not in result.err
    lines = result.err.splitlines()
    assert said in lines[0], result.err
    assert lines[0].startswith("quorate: ")
    # One sentence; where to read on, and what to try, may follow.
    hints = ("See ", "Example: ", "Output: ", "Details: ", "Nodes import a module once: ")
    assert all(line.startswith(hints) for line in lines[1:]), result.err


def test_an_item_that_is_not_json(served: Served) -> None:
    words = ("map", "math:sqrt", "--items", "-", "--json-items")
    result = run("quorate", *words, stdin="1\n{\n", QUORATE_ADDRESS=served.address)
    assert result.code == USAGE
    assert "line 2" in result.err
    assert "Traceback" not in result.err
