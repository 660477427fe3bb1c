"""Schedules from the SDK and the command line, in a cluster that knows its callers."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner, Result

import quorate
from quorate.cli.app import application
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb
from tests.support.auth import Locked, locked


@pytest.fixture(scope="module")
def cluster(etcd_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("schedules")) as started:
        yield started


@pytest.fixture
def admin(cluster: Locked) -> Iterator[Client]:
    tls = cluster.leaf("viewer:test").client
    with Client(",".join(cluster.schedulers), tls=tls, token=cluster.admin) as client:
        yield client


@pytest.fixture
def bound(cluster: Locked) -> Iterator[Client]:
    """A caller that may name queues of mail only."""
    tls = cluster.leaf("viewer:test").client
    with Client(",".join(cluster.schedulers), tls=tls, token=cluster.bound) as client:
        yield client


def cli(cluster: Locked, *words: str, code: int = 0) -> str:
    """What a command says, with an admin's certificate."""
    answer = invoked(cluster, *words)
    assert answer.exit_code == code, (answer.output, answer.exception)
    return answer.output


def invoked(cluster: Locked, *words: str) -> Result:
    """What becomes of a command, with an admin's certificate."""
    where = (f"--address={cluster.schedulers[0]}", *cluster.leaf("admin:alice").flags)
    arguments = [*words]
    place = arguments.index("--") if "--" in arguments else len(arguments)
    arguments[place:place] = where
    return CliRunner().invoke(application(words[0]), arguments, env={"COLUMNS": "200"})


def refused(call: Any, *arguments: Any, **options: Any) -> QuorateError:
    with pytest.raises(QuorateError) as caught:
        call(*arguments, **options)
    return caught.value


def test_the_sdk_creates_reads_changes_runs_and_deletes(admin: Client) -> None:
    schedules = admin.options(queue="other", retries=2).schedules
    berlin = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    made = schedules.create(
        "sdk",
        pow,
        args=(2, 10),
        overlap="queue_one",
        jitter=dt.timedelta(minutes=5),
        catch_up_window=7_200,
        blackouts=[("0 0 * * *", 3_600)],
        **berlin,  # type: ignore[arg-type]
    )
    assert made.spec.queue == "other"
    assert made.spec.task.retry.max_attempts == 3
    assert made.spec.overlap == pb.OVERLAP_POLICY_QUEUE_ONE
    assert made.spec.catch_up_window.seconds == 7_200
    assert len(made.next_ticks) == 10
    assert made.created_by == "admin:admin-test"
    assert schedules.get("sdk") == made
    assert "sdk" in [one.name for one in schedules.list(queue="other")]
    # Only what is given changes.
    changed = schedules.update("sdk", every=60, etag=made.etag)
    assert changed.spec.WhichOneof("timing") == "interval"
    assert changed.spec.overlap == pb.OVERLAP_POLICY_QUEUE_ONE
    error = refused(schedules.update, "sdk", every=90, etag=made.etag)
    assert error.code is grpc.StatusCode.ABORTED
    paused = schedules.pause("sdk", "moving", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert (paused.state, paused.pause_reason) == (pb.SCHEDULE_STATE_PAUSED, "moving")
    assert schedules.resume("sdk").state == pb.SCHEDULE_STATE_ACTIVE
    task = schedules.run("sdk")
    assert task.task().spec.schedule.cause == task_pb2.SCHEDULE_CAUSE_BY_HAND
    now = dt.datetime.now(dt.UTC)
    since = now - dt.timedelta(minutes=5)
    ticks = schedules.preview_backfill("sdk", since, now)
    assert len(ticks) == 5
    assert since <= ticks[0] < ticks[-1] <= now
    assert schedules.backfill("sdk", since, now, overlap="allow") == 5
    schedules.delete("sdk")
    assert refused(schedules.get, "sdk").reason == "SCHEDULE_NOT_FOUND"


def test_a_schedule_of_jobs_is_made_by_the_sdk_and_the_command_line(
    cluster: Locked, admin: Client
) -> None:
    template = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    schedules = admin.options(queue="other").schedules
    made = schedules.create("jobs", job_pb2.JobSpec(template=template, count=7), every=3_600)
    assert made.spec.job.count == 7
    made = schedules.create("items", ["echo", "{}"], items=["a", "b"], every=3_600)
    assert list(made.spec.job.items) == [b"a", b"b"]
    made = schedules.create("calls", pow, args=(2,), count=3, every=3_600)
    assert (made.spec.job.count, made.spec.job.template.python.pickle != b"") == (3, True)
    schedules.delete("items")
    schedules.delete("calls")
    job = schedules.run("jobs").id
    assert [run.job for run in schedules.get("jobs").last_runs] == [job]
    cli(
        cluster,
        *("schedule", "create", "jobs2", "--every", "1h", "--array", "1000", "--queue", "other"),
        *("--", "echo", "{index}"),
    )
    assert "1,000 subtasks of echo '{index}'" in cli(cluster, "schedule", "show", "jobs2")
    schedules.delete("jobs")
    schedules.delete("jobs2")


def test_a_schedule_of_graphs_is_made_by_the_sdk_and_the_command_line(
    cluster: Locked, admin: Client, tmp_path: Path
) -> None:
    graph = admin.graph("g")
    first = graph.add_array(pow, count=3, args=(2,), name="first")
    graph.add(len, "ab", after=first, name="last")
    schedules = admin.options(queue="other").schedules
    made = schedules.create("graph", graph, every=3_600)
    assert [task.name for task in made.spec.job.graph.tasks] == ["first", "last"]
    assert refused(schedules.create, "no", graph, args=(1,), every=60).field == "args"
    job = admin.graph_job(schedules.run("graph").id)
    assert [node.count for node in job.nodes()] == [3, 0]
    job.cancel()
    schedules.delete("graph")
    file = tmp_path / "g.toml"
    file.write_text('queue = "other"\n[tasks.a]\ncommand = ["echo", "{}"]\nitems = ["x"]\n')
    cli(cluster, "schedule", "create", "graph2", "--every", "1h", "--graph", str(file))
    shown = cli(cluster, "schedule", "show", "graph2")
    assert "a graph of 1 task" in shown
    assert "other" in shown
    schedules.delete("graph2")


def test_what_no_message_can_hold_is_refused_before_it_is_sent(admin: Client) -> None:
    create = admin.schedules.create
    naive = dt.datetime(2030, 1, 1)  # noqa: DTZ001
    for field, when in (
        ("at", {"at": naive}),
        ("every", {"every": "soon"}),
        ("every", {"every": 60, "cron": "* * * * *"}),
        ("overlap", {"cron": "* * * * *", "overlap": "never"}),
        ("anchor", {"cron": "* * * * *", "anchor": naive}),
        ("max_runs", {"cron": "* * * * *", "max_runs": 1.5}),
    ):
        error = refused(create, "bad", pow, **when)
        assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    with pytest.raises(TypeError, match="'zone'"):
        create("bad", pow, cron="* * * * *", zone="UTC")  # type: ignore[call-arg]
    error = refused(admin.options(delay=5).schedules.create, "bad", pow, every=60)
    assert error.field == "delay"
    # And by the cluster.
    error = refused(create, "bad", pow, cron="61 * * * *")
    assert (error.reason, error.field) == ("INVALID_CRON", "schedule.spec.cron")


def test_a_declared_schedule_is_applied_once_and_changed_where_it_differs(admin: Client) -> None:
    @quorate.schedule("declared", every=60)
    @quorate.task(queue="other", retries=1)
    def work() -> int:
        return 1

    first = admin.schedules.apply(work)
    assert first.spec.queue == "other"
    assert admin.schedules.apply(work).etag == first.etag
    quorate.schedule("declared", every=90)(work)
    second = admin.schedules.apply(work)
    assert (second.etag == first.etag, second.spec.interval.every.seconds) == (False, 90)
    with pytest.raises(TypeError, match="not decorated"):
        admin.schedules.apply(pow)
    admin.schedules.delete("declared")


async def test_the_asynchronous_client_does_the_same(cluster: Locked) -> None:
    tls = cluster.leaf("viewer:test").client
    async with AsyncClient(cluster.schedulers[1], tls=tls, token=cluster.admin) as client:
        schedules = client.options(queue="other").schedules
        made = await schedules.create("async", ["true"], every=3_600)
        assert (await schedules.get("async")).etag == made.etag
        assert "async" in [one.name async for one in schedules.list()]
        await schedules.update("async", max_runs=3)
        assert (await schedules.pause("async", "why")).pause_reason == "why"
        await schedules.resume("async")
        handle = await schedules.run("async")
        assert (await handle.task()).spec.schedule.name == "async"
        start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
        assert len(await schedules.preview_backfill("async", start)) == 2
        assert await schedules.backfill("async", start) == 2
        await schedules.delete("async")


def test_a_bound_caller_has_the_schedules_of_its_queues(admin: Client, bound: Client) -> None:
    admin.options(queue="other").schedules.create("theirs", ["true"], every=3_600)
    bound.options(queue="mail").schedules.create("mine", ["true"], every=3_600)
    assert [one.name for one in bound.schedules.list()] == ["mine"]
    for call in ("get", "pause", "resume", "run", "delete"):
        error = refused(getattr(bound.schedules, call), "theirs")
        assert (error.code, error.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "FOREIGN_QUEUE",
        ), call
    # Neither there nor by an update.
    error = refused(bound.options(queue="other").schedules.create, "x", ["true"], every=60)
    assert error.reason == "FOREIGN_QUEUE"
    bound.schedules.delete("mine")
    admin.schedules.delete("theirs")


def test_a_viewer_reads_and_changes_nothing(cluster: Locked, admin: Client) -> None:
    admin.options(queue="other").schedules.create("seen", ["true"], every=3_600)
    tls, token = cluster.leaf("viewer:test").client, cluster.make_token("viewer")
    with Client(cluster.schedulers[0], tls=tls, token=token) as viewer:
        assert viewer.schedules.get("seen").name == "seen"
        since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=3)
        assert len(viewer.schedules.preview_backfill("seen", since)) == 3
        for call in ("pause", "run", "delete"):
            error = refused(getattr(viewer.schedules, call), "seen")
            assert error.code is grpc.StatusCode.PERMISSION_DENIED, call
    admin.schedules.delete("seen")


def test_the_command_line_shows_what_it_made(cluster: Locked) -> None:
    cli(
        cluster,
        *("schedule", "create", "cli", "--cron", "30 2 * * *", "--zone", "Europe/Berlin"),
        *("--overlap", "cancel-running", "--jitter", "10m", "--max-runs", "5"),
        *("--blackout", "0 9 * * 1-5/8h", "--on-failure", "pause", "--queue", "other"),
        *("--fairness-key", "acme", "--ordering-key", "books"),
        *("--where", "disk=ssd", "--tolerate", "gpu", "--", "echo", "hello world"),
    )
    shown = cli(cluster, "schedule", "show", "cli")
    for words in (
        "30 2 * * * Europe/Berlin",
        "echo 'hello world'",
        "cancel-running",
        "after an outage, ticks of the last 1 h run (up to 100); older ones are skipped",
        "up to 10 min",
        "8 h from each 0 9 * * 1-5",
        "5 of 5",
        "admin:alice",
        "NEXT TICK",
    ):
        assert words in shown, words
    assert "cli" in cli(cluster, "schedules", "--queue", "other")
    task = cli(cluster, "schedule", "run", "cli").strip()
    spec = json.loads(cli(cluster, "task", task, "--json"))["spec"]
    assert (spec["schedule"]["name"], spec["fairnessKey"], spec["orderingKey"]) == (
        *("cli", "acme", "books"),
    )
    assert spec["placement"]["nodes"][0]["label"] == "disk"
    assert spec["placement"]["tolerations"][0]["key"] == "gpu"
    cli(cluster, "schedule", "pause", "cli", "--reason", "tests", "--until", "2h")
    assert "PAUSED by admin:alice until" in cli(cluster, "schedule", "show", "cli")
    cli(cluster, "schedule", "resume", "cli")
    cli(cluster, "schedule", "update", "cli", "--every", "5m", "--overlap", "skip")
    found = json.loads(cli(cluster, "schedule", "show", "cli", "--json"))
    assert found["spec"]["interval"]["every"] == "300s"
    assert found["spec"]["overlap"] == "OVERLAP_POLICY_SKIP"
    since = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=11)).isoformat()
    said = cli(cluster, "schedule", "run", "cli", "--from", since, "--dry-run")
    # Beside them a hint on standard error.
    ticks = [line for line in said.splitlines() if line.startswith("20")]
    assert (len(ticks), ticks) == (3, sorted(ticks))
    said = cli(cluster, "schedule", "run", "cli", "--from", since, "--overlap", "allow")
    assert "3 ticks will run" in said
    entries = cli(cluster, "audit", "--resource", "schedule")
    assert "cli" in entries
    cli(cluster, "schedule", "delete", "cli")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--every", "60"), "what the schedule runs is missing"),
        (("--every", "60", "--cron", "@daily", "--", "true"), "only one of --cron"),
        (("--every", "often", "--", "true"), "--every: 'often' is not"),
        (("--at", "never", "--", "true"), "--at: 'never' is not"),
        (("--every", "60", "--call", "m:f", "--arguments", "{", "--"), "is not JSON"),
        (("--every", "60", "--blackout", "noon", "--", "true"), "is not FROM/TO"),
        (("--every", "60", "--call", "m:f", "--", "true"), "only one of -- COMMAND"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    cluster: Locked, words: tuple[str, ...], said: str
) -> None:
    assert said in " ".join(cli(cluster, "schedule", "create", "x", *words, code=2).split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cron", "61 * * * *"), "--cron: "),
        (("--cron", "@daily", "--zone", "Mars/Olympus"), "--zone: "),
        (("--cron", "@daily", "--blackout", "x y/1h"), "--blackout: "),
        (("--at", "2020-01-01"), "--at: "),
    ],
)
def test_a_schedule_that_is_refused_names_the_option(
    cluster: Locked, words: tuple[str, ...], said: str
) -> None:
    error = invoked(cluster, "schedule", "create", "x", *words, "--", "true").exception
    assert isinstance(error, QuorateError)
    assert (error.code, error.message[: len(said)]) == (grpc.StatusCode.INVALID_ARGUMENT, said)
