"""What the doctor makes of what it measures: each judgement, and its level."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

import quorate
from quorate.cli.app import run
from quorate.doctor.blob_checks import check_blob_folder, check_blob_nodes
from quorate.doctor.cert_checks import check_file
from quorate.doctor.cluster_checks import check_nodes, check_pending, check_replicas
from quorate.doctor.etcd_checks import check_release, check_space, judge_latency
from quorate.doctor.finding import Finding, Level, worst
from quorate.doctor.process_checks import judge_clock
from quorate.doctor.verdict import check_verdict
from quorate.etcd.api import StoreStatus
from quorate.v1 import cluster_pb2, node_pb2, task_pb2
from tests.support.tls import TestAuthority

OK, NOTE, WARNING, ERROR = Level.OK, Level.NOTE, Level.WARNING, Level.ERROR


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("3.3.27", ERROR),
        ("3.4.23", WARNING),
        ("3.5.1", ERROR),
        ("3.5.27", WARNING),
        ("3.5.28", OK),
        ("3.6.8", WARNING),
        ("3.6.9", OK),
        ("3.7.0", OK),
        ("4.0.0", OK),
        ("nonsense", ERROR),
    ],
)
def test_versions_of_etcd(version: str, level: Level) -> None:
    assert check_release("e", version, local=False).level is level
    assert check_release("e", version, local=True).level is (NOTE if level is WARNING else level)


def status(size: int, used: int) -> StoreStatus:
    return StoreStatus("3.6.9", size << 20, used << 20, 1, 1, 3)


@pytest.mark.parametrize(
    ("size", "used", "quota", "levels"),
    [
        (10, 10, 100, [OK]),
        (70, 70, 100, [WARNING]),
        (90, 90, 100, [ERROR]),
        (90, 90, 0, [OK]),
        (1000, 100, 2048, [OK, WARNING]),
        (100, 10, 2048, [OK]),
    ],
    ids=["empty", "filling", "refusing", "no quota known", "holes", "small holes"],
)
def test_space_of_etcd(size: int, used: int, quota: int, levels: list[Level]) -> None:
    assert [one.level for one in check_space("e", status(size, used), quota << 20)] == levels


@pytest.mark.parametrize(
    ("slowest", "level"), [(0.002, OK), (0.1, WARNING), (0.5, ERROR)], ids=["ssd", "disk", "worse"]
)
def test_latency_is_judged_by_the_slowest_of_a_hundred(slowest: float, level: Level) -> None:
    finding = judge_latency([0.001] * 99 + [slowest])
    assert finding.level is level
    assert "1.0 ms (p50)" in finding.text


@pytest.mark.parametrize(
    ("theirs", "level"),
    [(100.0, OK), (100.9, OK), (101.4, OK), (102.0, WARNING), (98.0, WARNING), (200.0, ERROR)],
)
def test_only_what_the_time_of_the_request_cannot_explain_is_skew(
    theirs: float, level: Level
) -> None:
    assert judge_clock("s1", theirs, 100.0, 101.0).level is level


def test_a_clock_ahead_and_one_behind_are_told_apart() -> None:
    assert "2.0 s ahead of" in judge_clock("s1", 103.0, 100.0, 101.0).text
    assert "2.0 s behind" in judge_clock("s1", 98.0, 100.0, 101.0).text


def node(name: str, state: int, version: str = "1") -> node_pb2.Node:
    return node_pb2.Node(name=name, state=state, slots=2, version=version)  # type: ignore[arg-type]


def test_nodes_that_take_no_work_are_named() -> None:
    findings = check_nodes(
        [
            node("a", node_pb2.NODE_STATE_READY),
            node("b", node_pb2.NODE_STATE_CONNECTING),
            node("c", node_pb2.NODE_STATE_CORDONED, version="2"),
        ]
    )
    assert [one.level for one in findings] == [OK, WARNING, NOTE, NOTE]
    assert findings[0].text == "1 of 3 take work, with 2 slots"
    assert findings[1].text.endswith("session with b")
    assert findings[2].text == "cordoned: c"
    assert findings[3].text.endswith("1, 2")


def with_store(name: str) -> node_pb2.Node:
    ready = node(name, node_pb2.NODE_STATE_READY)
    ready.capacity.counters["blob-store"] = 1_000_000
    return ready


def test_a_blob_store_is_everybodys_or_a_finding() -> None:
    plain = node("plain", node_pb2.NODE_STATE_READY)
    there, none = cluster_pb2.Cluster(blob_url="s3://b"), cluster_pb2.Cluster()
    (finding,) = check_blob_nodes(there, [with_store("a")])
    assert (finding.level, finding.text) == (OK, "s3://b")
    (finding,) = check_blob_nodes(there, [with_store("a"), plain])
    assert finding.level is WARNING
    assert "plain" in finding.text
    assert check_blob_nodes(none, [with_store("a")])[0].level is WARNING
    assert check_blob_nodes(none, [plain])[0].level is NOTE


async def test_the_folder_of_a_local_blob_store_is_looked_for(tmp_path: Path) -> None:
    def of(url: str) -> cluster_pb2.Cluster:
        return cluster_pb2.Cluster(blob_url=url)

    assert await check_blob_folder(of(f"file://{tmp_path}")) == []
    assert await check_blob_folder(of("s3://bucket")) == []
    assert await check_blob_folder(of("")) == []
    (finding,) = await check_blob_folder(of(f"file://{tmp_path}/gone"))
    assert finding.level is WARNING


def test_nodes_that_cannot_write_are_named_with_the_reason_and_count_as_closed() -> None:
    full = node("b", node_pb2.NODE_STATE_UNWRITABLE)
    # An operator's word is the state; that it could not write is still worth a sentence.
    closed = node("c", node_pb2.NODE_STATE_CORDONED)
    for one in (full, closed):
        one.stats.disk_error = "No space left on device"
    findings = check_nodes([node("a", node_pb2.NODE_STATE_READY), full, closed])
    assert [one.level for one in findings] == [OK, WARNING, NOTE]
    assert findings[0].text == "1 of 3 take work, with 2 slots"
    why = "cannot write to the disk and take no work: b, c: No space left on device"
    assert findings[1].text == why
    assert "--data-dir" in findings[1].advice
    assert check_nodes([full])[0].level is ERROR


def test_a_long_list_of_names_is_cut() -> None:
    (_, finding) = check_nodes([node(f"n{i:02}", node_pb2.NODE_STATE_DRAINED) for i in range(20)])
    assert finding.text.endswith("n07 and 12 more")


@pytest.mark.parametrize("nodes", [[], [node("a", node_pb2.NODE_STATE_CORDONED)]])
def test_nobody_to_do_the_work_is_an_error(nodes: list[node_pb2.Node]) -> None:
    assert check_nodes(nodes)[0].level is ERROR


def test_tasks_that_gave_their_slots_up_are_named():
    waits = node("n1", node_pb2.NODE_STATE_READY)
    waits.slots, waits.running, waits.stats.yielded = 3, 6, 3
    assert "3 slots; 3 running tasks wait for other tasks" in check_nodes([waits])[0].text


@pytest.mark.parametrize(("local", "level"), [(True, NOTE), (False, WARNING)])
def test_a_leader_without_a_standby(local: bool, level: Level) -> None:
    alone = cluster_pb2.SchedulerReplica(name="s1", leader=True)
    cluster = cluster_pb2.Cluster(epoch=7, schedulers=[alone], version=quorate.__version__)
    found = check_replicas(cluster, local=local)
    assert [one.level for one in found] == [OK, level]
    cluster.schedulers.add(name="s2")
    assert [one.level for one in check_replicas(cluster, local=local)] == [OK]


@pytest.mark.parametrize(
    ("days", "level"), [(0, OK), (20, WARNING), (31, ERROR), (-1, ERROR)],
    ids=["fresh", "soon over", "over", "not yet valid"],
)  # fmt: skip
def test_certificates_by_their_dates(tmp_path: Path, days: int, level: Level) -> None:
    leaf = TestAuthority(tmp_path / "ca").leaf("admin:a", days=30)
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    levels = {one.level for one in check_file(str(leaf.cert_file), now)}
    assert level in levels
    assert max(levels) is level


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    now = dt.datetime.now(dt.UTC)
    (missing,) = check_file(str(file), now)
    file.write_text("nothing of the kind")
    (wrong,) = check_file(str(file), now)
    assert (missing.level, wrong.level) == (ERROR, ERROR)
    assert "No such file" in missing.text


def test_the_worst_decides_and_nothing_is_well() -> None:
    assert worst([]) is OK
    assert worst([Finding(NOTE, "a", "b"), Finding(WARNING, "a", "b", "c")]) is WARNING


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--etcd", "nowhere"], "etcd: 'nowhere' is not host:port"),
        (["--etcd", "h:1", "--etcd-password-file", "/none"], "etcd-password-file"),
        (["--schedulers", "nowhere"], "is not host:port"),
        (["--etcd-quota-mib", "-1"], "--etcd-quota-mib"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_tasks_that_fit_no_node_are_one_warning_for_each_reason():
    def waits(number: int, reason: str) -> task_pb2.Task:
        task = task_pb2.Task(id=f"t{number}", pending_reason=reason)
        if reason == device:
            task.spec.service.service = "web"
        return task

    memory, device = "no node has 900 GiB", "no node has 1 gpu"
    reasons = ("", memory, device, memory, "")
    found = check_pending([waits(number, reason) for number, reason in enumerate(reasons)])
    assert [(one.level, one.subject) for one in found] == [(Level.WARNING, "tasks")] * 2
    assert found[0].text == (
        f"2 of 5 waiting tasks cannot start on any node (such as t1): {memory}"
    )
    assert found[1].text == (f"1 of 5 waiting tasks cannot start on any node (t2): {device}")
    # Services are named only where one of them asks for too much.
    assert "quorate cancel t1" in found[0].advice
    assert "service" not in found[0].advice
    assert "quorate service update web" in found[1].advice
    [alone] = check_pending([waits(7, memory)])
    assert alone.text == f"1 waiting task cannot start on any node (t7): {memory}"
    [some] = check_pending([waits(7, memory), waits(8, "")], more=True)
    assert some.text.startswith("1 of the 2 newest waiting tasks cannot start on any node (t7)")


def test_tasks_that_wait_for_their_turn_are_no_finding():
    assert not check_pending([])
    assert not check_pending([task_pb2.Task(id="t1"), task_pb2.Task(id="t2")])


def test_each_problem_of_the_verdict_is_said_once_and_none_is_left_out() -> None:
    lost = node_pb2.Node(name="n1", state=node_pb2.NODE_STATE_LOST)
    waiting = task_pb2.Task(id="a", pending_reason="no node has 1 gpu")
    own = [*check_nodes([lost]), *check_pending([waiting])]
    cluster = cluster_pb2.Cluster()
    cluster.problems_time.seconds = 1
    for code, kind, name in (
        ("NODE_LOST", "node", "n1"),
        ("NODE_LOST", "node", "n2"),
        ("TASKS_UNPLACEABLE", "task", "a"),
        ("TASKS_UNPLACEABLE", "task", "too old for the examination to have seen it"),
        ("NO_STANDBY", "cluster", ""),
        ("ETCD_OLD", "cluster", "etcd-0:2379"),
        ("QUEUE_PAUSED", "queue", "mail"),
    ):
        cluster.problems.add(code=code, kind=kind, name=name, sentence=f"{code} {name}.")
    said = [(one.code, set(one.about)) for one in check_verdict(cluster, own, local=False)]
    assert said == [
        ("NODE_LOST", {"n2"}),
        ("TASKS_UNPLACEABLE", {"too old for the examination to have seen it"}),
        ("NO_STANDBY", set[str]()),
        ("ETCD_OLD", {"etcd-0:2379"}),
        ("QUEUE_PAUSED", {"mail"}),
    ]
    assert all(one.advice for one in check_verdict(cluster, own, local=False))
    replicas = check_replicas(cluster, local=False)
    assert "NO_STANDBY" not in {one.code for one in check_verdict(cluster, replicas, local=False)}
