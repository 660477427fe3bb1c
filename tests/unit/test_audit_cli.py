"""`quorate audit`, and who created a task in `quorate task`."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator

import pytest
import typer

from quorate.cli.app import run
from quorate.cli.words import instant
from quorate.v1.audit_pb2 import AuditChange, AuditEntry
from tests.support.fake_scheduler import FakeCluster, FakeServer

Quorate = Callable[..., tuple[int, str, str]]
NOW = 1_750_000_000.0


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Quorate:
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", f"{tmp_path}/none")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def entry(number: int, *changes: AuditChange, caller: str = "olga", role: str = "operator"):
    made = AuditEntry(
        id=f"{number:016x}",
        caller=caller,
        role=role,
        credential="token" if role else "",
        peer="[::1]:5",
        method="quorate.v1.Scheduler/PauseQueue",
        resource_type="queue",
        resource_name="mail",
        changes=changes,
    )
    made.time.FromMicroseconds(int(NOW * 1e6) - number)
    return made


def test_an_empty_log_says_what_to_do_next(quorate: Quorate):
    code, out, err = quorate("audit")
    assert (code, out) == (0, "")
    assert "quorate queue create mail" in err
    assert "--audit-keep 0" in err
    assert json.loads(quorate("audit", "--json")[1]) == []
    assert "Show all of them with: quorate audit" in quorate("audit", "--caller", "eve")[2]


def test_who_what_and_from_where_are_shown(quorate: Quorate, cluster: FakeCluster):
    cluster.audit = [
        entry(1, AuditChange(field="paused", before="false", after="true")),
        entry(2, AuditChange(field="state", before="FAILED"), AuditChange(field="command")),
        entry(3, AuditChange(field="placement", after="ROUND_ROBIN"), caller="anonymous", role=""),
    ]
    code, out, _ = quorate("audit")
    head, *lines = map(str.rstrip, out.splitlines())
    assert code == 0
    assert head.split() == ["TIME", "WHO", "FROM", "DID", "TO", "CHANGED"]
    assert "operator:olga" in lines[0]
    assert "[::1]:5" in lines[0]
    assert lines[0].endswith("PauseQueue  queue/mail  paused false -> true")
    assert lines[1].endswith("state was FAILED, command")
    assert "anonymous" in lines[2]
    assert "placement ROUND_ROBIN" in lines[2]


def test_json_is_the_entries_as_they_are(quorate: Quorate, cluster: FakeCluster):
    cluster.audit = [entry(1, AuditChange(field="paused", before="false", after="true"))]
    (document,) = json.loads(quorate("audit", "--json")[1])
    assert document["caller"] == "olga"
    assert document["method"] == "quorate.v1.Scheduler/PauseQueue"
    assert document["changes"] == [{"field": "paused", "before": "false", "after": "true"}]


def test_filters_are_passed_on(quorate: Quorate, cluster: FakeCluster):
    quorate(
        *("audit", "--caller", "olga", "--resource", "queue/mail", "--rpc", "PauseQueue"),
        *("--since", "2h", "--until", "2031-01-31T12:00:00+00:00", "--limit", "7"),
    )
    (request,) = cluster.audit_requests
    assert (request.caller, request.resource_type) == ("olga", "queue")
    assert (request.resource_name, request.method) == ("mail", "PauseQueue")
    assert request.until.ToJsonString() == "2031-01-31T12:00:00Z"
    assert request.page_size == 8
    ago = dt.datetime.now(dt.UTC) - request.since.ToDatetime(dt.UTC)
    assert dt.timedelta(hours=2) <= ago < dt.timedelta(hours=2, minutes=5)


def test_there_is_more_than_is_shown(quorate: Quorate, cluster: FakeCluster):
    cluster.audit = [entry(number) for number in range(30)]
    _, out, err = quorate("audit", "--resource", "queue", "--limit", "25")
    assert len(out.splitlines()) == 26
    assert "quorate audit --resource queue --limit 250" in err
    assert len(quorate("audit", "-n", "30")[1].splitlines()) == 31


def test_pages_are_read_one_after_the_other(quorate: Quorate, cluster: FakeCluster):
    cluster.audit = [entry(number) for number in range(2_500)]
    assert len(json.loads(quorate("audit", "--json", "-n", "2400")[1])) == 2_400
    assert [request.page_token for request in cluster.audit_requests] == ["", "1000", "2000"]


@pytest.mark.parametrize("text", ["yesterday", "2x", "-1h", "1900-01-01", ""])
def test_a_bad_instant_names_its_option(quorate: Quorate, text: str):
    code, _, err = quorate("audit", "--since", text or "never")
    assert code == 2
    assert "--since" in err
    assert "2026-01-31T12:00" in err


def test_instants():
    assert instant("--since", "90s", NOW) == NOW - 90
    assert instant("--since", "7d", NOW) == NOW - 7 * 86_400
    assert instant("--since", "999999999d", NOW) == 0
    assert instant("--since", "2025-06-15T15:06:40+00:00", NOW) == NOW
    local = dt.datetime(2026, 1, 31).astimezone().timestamp()
    assert instant("--since", "2026-01-31", NOW) == local
    with pytest.raises(typer.BadParameter, match="--until"):
        instant("--until", "soon", NOW)


def test_a_task_says_who_created_it(quorate: Quorate, cluster: FakeCluster):
    _, task, _ = quorate("submit", "--", "true")
    assert " by " not in quorate("task", task.strip())[1]
    cluster.tasks[task.strip()].created_by = "submitter:sam"
    assert " by submitter:sam" in quorate("task", task.strip())[1]
