"""What commands print in a terminal of 80 columns: columns that matter, ids to be typed back."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer

from quorate.cli.app import application, run
from quorate.cli.exits import EPILOG
from quorate.cli.output import render
from quorate.cli.output.processes import Process, process_table
from quorate.v1 import task_pb2
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
