"""What commands print in a terminal of 80 columns: columns that matter, ids to be typed back."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from quorate.cli.app import application, run
from quorate.cli.exits import EPILOG
from quorate.cli.output import render
from quorate.cli.output.processes import Process, process_table
from quorate.v1 import dead_letter_pb2, job_pb2, schedule_pb2, task_pb2
from quorate.v1.audit_pb2 import AuditChange, AuditEntry
from tests.support.fake_scheduler import FakeCluster, FakeServer

Quorate = Callable[..., tuple[int, list[str], str]]
ID = "01a22851d09c7000893655b6968f0722"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as a terminal of 80 columns."""
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    monkeypatch.setattr(
        render,
        "out",
        render.Terminal(
            soft_wrap=True, force_terminal=True, width=80, file=file, color_system=None
        ),
    )
    return file


@pytest.fixture
def quorate(
    cluster: FakeCluster,
    terminal: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
    capfd: pytest.CaptureFixture[str],
) -> Quorate:
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", f"{tmp_path}/none")

    def call(*arguments: str) -> tuple[int, list[str], str]:
        code = run(list(arguments))
        lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
        terminal.truncate(0)
        terminal.seek(0)
        assert [line for line in lines if len(line) > 80] == []
        return code, lines, capfd.readouterr().err

    return call


def test_a_task_that_fits_no_node_takes_no_ages_and_nodes_away(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    task = task_pb2.Task(id=ID, queue="default", state=task_pb2.TASK_STATE_PENDING)
    task.pending_reason = "no node has 900 GiB of memory"
    task.spec.name = "a-program-with-a-name"
    task.create_time.FromSeconds(int(time.time()) - 200)
    attempt = task.attempts.add(number=1, node="node-number-1")
    attempt.start_time.FromSeconds(1_000)
    attempt.finish_time.FromSeconds(1_200)
    cluster.tasks[ID] = task
    _, (head, row), err = quorate("tasks")
    assert head.split() == ["ID", "NAME", "QUEUE", "STATE", "AGE", "RAN"]
    short = row.split()[0]
    assert short == f"\N{HORIZONTAL ELLIPSIS}{ID[-8:]}"
    assert "last 8 characters" in err
    assert "Hidden columns: FAILURES, NODE " in err
    assert quorate("task", short)[0] == 0
    assert quorate("task", short)[1][0].split() == ["Task", ID]


def test_the_audit_log_keeps_what_changed(quorate: Quorate, cluster: FakeCluster) -> None:
    change = AuditChange(field="stored_bytes", before=str(1 << 30))
    entry = AuditEntry(
        caller="olga",
        role="operator",
        peer="[::1]:51234",
        method="quorate.v1.Scheduler/SetQuota",
        resource_type="quota",
        resource_name="queue/reports-of-the-month",
        changes=[change, AuditChange(field="live_tasks", after="5")],
    )
    entry.time.GetCurrentTime()
    cancelled = AuditEntry(
        caller="olga",
        method="quorate.v1.Scheduler/CancelTask",
        resource_type="task",
        resource_name=ID,
        changes=[AuditChange(field="cancel_requested", before="false", after="true")],
    )
    cluster.audit = [entry, cancelled]
    _, lines, err = quorate("audit")
    assert lines[0].split() == ["TIME", "WHO", "DID", "TO", "CHANGED"]
    changed = " ".join(" ".join(line[lines[0].index("CHANGED") :] for line in lines[1:]).split())
    assert changed == "stored_bytes 1 GiB -> default, live_tasks default -> 5 cancelled"
    assert any(f"task/\N{HORIZONTAL ELLIPSIS}{ID[-8:]}" in line for line in lines)
    assert "Hidden columns: FROM " in err
    code, _, err = quorate("audit", "--resource", "foo")
    if code:
        assert "--resource: " in err


def test_addresses_of_processes_are_shown_before_their_ids(terminal: io.StringIO) -> None:
    socket = "unix:/home/somebody/.local/state/quorate/local/run/client:0"
    render.show(
        process_table(
            [
                Process("etcd", "etcd", socket, "running", 123456, 0, "3.5.28"),
                Process("scheduler-1", "leader", "127.0.0.1:23456", "restarting", 123457, 12, "1"),
            ]
        )
    )
    head, first, second = terminal.getvalue().splitlines()
    assert "ADDRESS" in head
    assert "(a socket)" in first
    assert first.split()[4] == "0"
    assert "127.0.0.1:23456" in second
    terminal.truncate(0)
    render.show(process_table([Process("etcd", "etcd", "unix:/run/client:0", "running")]))
    assert terminal.getvalue().split()[-1] == "unix:/run/client"


def test_versions_of_processes_are_shown_only_if_they_differ(terminal: io.StringIO) -> None:
    etcd = Process("etcd", "etcd", "127.0.0.1:1", "running", 1, 0, "3.5.28")
    s1 = Process("s1", "leader", "127.0.0.1:2", "running", 2, 0, "0.2.0")
    gateway = Process("gateway", "gateway", "127.0.0.1:3", "running", 3, 0)
    render.show(process_table([etcd, s1, gateway]))
    assert "VERSION" not in terminal.getvalue()
    render.show(process_table([etcd, s1, Process("s2", "standby", "127.0.0.1:4", version="0.1")]))
    assert "VERSION" in terminal.getvalue()


def test_a_quota_without_a_limit_is_a_mistake(quorate: Quorate) -> None:
    code, _, err = quorate("quota", "set", "--queue", "default")
    assert code == 2
    assert "give a limit, such as --live-tasks 10000" in err


@pytest.mark.parametrize("size", ["lots", "1.5G", "G", "-1", "512 M"])
def test_what_is_no_size_is_repeated_as_it_was_given(quorate: Quorate, size: str) -> None:
    code, _, err = quorate("submit", f"--memory={size}", "--", "true")
    assert code == 2
    assert f"--memory: '{size}' is not a size such as 512M" in err


def test_paragraphs_of_helps_have_no_line_breaks_of_the_source() -> None:
    apps = [application()]
    for app in apps:
        apps += [group.typer_instance for group in app.registered_groups if group.typer_instance]
        helps = [command.help or "" for command in app.registered_commands]
        assert all(helps)
        assert [text for text in helps if "\n" in text.replace("\n\n", "")] == []


def _paths(command: Any, path: list[str]) -> Iterator[list[str]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from _paths(child, [*path, name])


def test_no_help_is_cut_in_80_columns(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for path in _paths(typer.main.get_command(application()), []):
        assert run([*path, "--help"]) == 0
        text = capfd.readouterr().out
        assert [line for line in text.splitlines() if "\N{HORIZONTAL ELLIPSIS} " in line] == [], (
            path
        )


def test_the_help_has_the_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert EPILOG.split(";")[0] in out
    assert "6 not finished in the time given" in out


def _head(lines: list[str]) -> list[str]:
    return next(line for line in lines if line.startswith(("QUEUE ", "SCHEDULE "))).split()


def test_columns_without_any_count_are_left_out_first(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    counts = cluster.queues["default"].counts
    counts.blocked, counts.paused, counts.expired, counts.failed = 3, 2, 1, 4
    for command in ("queues", "status"):
        _, lines, err = quorate(command)
        head = _head(lines)
        assert {"BLOCKED", "PAUSED", "EXPIRED", "FAILED"} < set(head)
        assert "SCHEDULED" not in head
        assert "Hidden columns: SCHEDULED" in err


def test_subtasks_in_the_counts_of_queues_are_said_only_where_there_are_jobs(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    says = {"queues": "'quorate tasks' does not list them", "status": "The line 'Tasks' does not"}
    for command, words in says.items():
        assert words not in quorate(command)[2]
    assert "not listed here" not in quorate("dead", "list")[2]
    assert quorate("submit", "--array", "1-3", "--", "false")[0] == 0
    for command, words in says.items():
        assert words in quorate(command)[2]
    [job] = cluster.jobs.values()
    job.job.state = job_pb2.JOB_STATE_FAILED
    words = "Failed subtasks of jobs are not listed here. See: quorate jobs --state failed"
    assert words in quorate("dead", "list")[2]


def test_a_time_zone_is_not_cut(quorate: Quorate, cluster: FakeCluster) -> None:
    spec = schedule_pb2.ScheduleSpec(cron="30 2 * * *", time_zone="Europe/Berlin")
    nightly = schedule_pb2.Schedule(name="a-nightly-report", spec=spec)
    nightly.state = schedule_pb2.SCHEDULE_STATE_ACTIVE
    nightly.next_ticks.add().FromSeconds(int(time.time()) + 20_000)
    run = nightly.last_runs.add(state=task_pb2.TASK_STATE_SUCCEEDED)
    run.tick_time.FromSeconds(int(time.time()) - 70_000)
    cluster.schedules[nightly.name] = nightly
    often = schedule_pb2.Schedule(name="often", state=nightly.state)
    often.spec.interval.every.FromSeconds(2)
    cluster.schedules[often.name] = often
    _, lines, err = quorate("schedules")
    assert "MISSED" not in _head(lines)
    text = "\n".join(lines)
    assert "SUCCEEDED 19 h ago" in text
    assert " in 5 h 33 min" in text or " in 5 h 32 min" in text
    assert "Europe/Berlin" in text
    assert "every 2 s" in text
    assert "MISSED" in err
    assert quorate("schedule", "list")[1] == lines


def test_a_list_of_schedules_has_their_queues(quorate: Quorate, cluster: FakeCluster) -> None:
    spec = schedule_pb2.ScheduleSpec(cron="30 2 * * *", time_zone="Europe/Berlin")
    nightly = schedule_pb2.Schedule(name="nightly", spec=spec, runs=3)
    nightly.state = schedule_pb2.SCHEDULE_STATE_ACTIVE
    nightly.next_ticks.add().FromSeconds(int(time.time()) + 20_000)
    run = nightly.last_runs.add(state=task_pb2.TASK_STATE_SUCCEEDED)
    run.tick_time.FromSeconds(int(time.time()) - 5)
    cluster.schedules[nightly.name] = nightly
    _, lines, err = quorate("schedules")
    assert "QUEUE" in _head(lines)
    assert re.search(r"SUCCEEDED \d+\.\d s ago", lines[1])
    assert "Hidden columns: RUNS, MISSED " in err


def test_a_group_of_errors_says_that_its_numbers_differ(
    quorate: Quorate, cluster: FakeCluster
) -> None:
    group = dead_letter_pb2.DeadLetterGroup(id="0a" * 8, queue="default", count=2)
    group.error_type, group.error_message = "EXIT_CODE", "exited with code 1"
    cluster.dead_letters.append(group)
    error = task_pb2.TaskError(type="EXIT_CODE", message="exited with code 3")
    task = task_pb2.Task(id=ID, queue="default", state=task_pb2.TASK_STATE_FAILED, error=error)
    cluster.tasks[ID] = task
    assert "(numbers may differ)" in " ".join(" ".join(quorate("dead", "list")[1]).split())
    _, lines, _ = quorate("dead", "show", "0a0a")
    assert lines[0] == "EXIT_CODE: exited with code 1 (numbers may differ)"
    assert lines[-1].endswith("exited with code 3")
    group.count = 1
    group.first_time.FromSeconds(1_000)
    group.last_time.FromSeconds(1_000)
    _, lines, _ = quorate("dead", "show", "0a0a")
    assert lines[0] == "EXIT_CODE: exited with code 1"
    assert ", from" not in lines[1]
    assert re.search(r"default, at 1970-01-01 .* [A-Z+\-0-9]+$", lines[1])


def test_sentences_are_wrapped_between_words_and_commands_at_their_end_stay_whole() -> None:
    sentence = "every node that could take the task is busy: " * 3
    lines = render.wrapped(sentence.strip(), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == sentence.strip()
    retry = f"Run the failed subtasks of this job again: quorate job retry {ID}"
    assert render.wrapped(retry, 80) == (
        f"Run the failed subtasks of this job again:\n  quorate job retry {ID}"
    )
    assert render.wrapped(f"\nOutput: quorate logs {ID}", 80) == f"\nOutput: quorate logs {ID}"
    traceback = f"Traceback:\n  {'x y ' * 40}"
    assert render.wrapped(traceback, 80) == traceback


def test_a_terminal_gets_long_hints_in_lines() -> None:
    file = io.StringIO()
    options: dict[str, Any] = {"soft_wrap": True, "file": file, "color_system": None}
    render.Sentences(force_terminal=True, width=80, **options).print("a word " * 30)
    assert max(map(len, file.getvalue().splitlines())) <= 80
    file.truncate(0)
    render.Sentences(force_terminal=False, width=80, **options).print("a word " * 30)
    assert len(file.getvalue().strip("\0").splitlines()) == 1


@pytest.mark.parametrize("name", ["queue", "limit", "job", "schedule"])
def test_list_of_a_group_is_the_command_in_the_plural(quorate: Quorate, name: str) -> None:
    assert quorate(name, "list") == quorate(f"{name}s")
    code, _, err = quorate(f"{name}s", "show")
    assert code == 2
    assert f"'quorate {name} --help'" in err


def test_task_show_is_task(quorate: Quorate, cluster: FakeCluster) -> None:
    cluster.tasks[ID] = task_pb2.Task(id=ID, state=task_pb2.TASK_STATE_SUCCEEDED)
    code, lines, _ = quorate("task", "show", ID)
    assert (code, lines[0].split()) == (0, ["Task", ID])
    assert quorate("task", ID)[1] == lines


def test_commands_of_the_help_are_in_panels(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capfd.readouterr().out
    panels = re.findall(r"\u2500 ([A-Z][a-z ]+) \u2500", out)
    assert panels[1:] == [
        *("Cluster", "Tasks", "Jobs and schedules", "Queues and limits"),
        *("Nodes and services", "Messages", "Administration"),
    ]
