"""What a leader says of queues, services and certificates at a scrape."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.core import Metric

from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.snapshot.last import LAST_BACKUP, last_backup, note_backup
from quorate.runtime.ids import QueueName, TaskId
from quorate.security.tls.certs import Authority
from quorate.telemetry.certificates import CertificateMetrics
from quorate.telemetry.server import HealthServer
from scheduler.core.model.rows import QueueRow, ServiceRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import (
    NO_NEEDS,
    Kind,
    RetryPolicy,
    ServiceName,
    ServiceSpec,
    TaskState,
)
from scheduler.engine.task_metrics import MOST_QUEUES, TaskMetrics
from scheduler.telemetry.queue_metrics import queue_metrics
from scheduler.telemetry.service_metrics import service_metrics
from tools.docs.documented_metrics import Scrape

NOW = 1_000.0
OLDEST = "quorate_queue_oldest_task_age_seconds"
PAUSED = "quorate_queue_oldest_paused_task_age_seconds"


def values(*families: Metric) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def pending(queue: QueueRow, name: str, created: float, not_before: float = 0.0) -> TaskRow:
    row = TaskRow(
        TaskId(name), queue, created, 0, RetryPolicy(), NO_NEEDS, "", b"", TaskState.PENDING
    )
    row.not_before = not_before
    queue.pending.push(row)
    return row


def state_of(*queues: QueueRow) -> State:
    state = State()
    state.queues.update({queue.name: queue for queue in queues})
    return state


def test_a_task_waits_since_it_was_due_and_not_since_it_was_created() -> None:
    queue = QueueRow(QueueName("q"), 0.0)
    pending(queue, "t1", created=0.0, not_before=NOW - 5)
    assert values(*queue_metrics(state_of(queue), NOW))[OLDEST, "q"] == 5
    # The delayed task is before it in the line, and hides it no longer.
    pending(queue, "t2", created=NOW - 60)
    found = values(*queue_metrics(state_of(queue), NOW))
    assert (found[OLDEST, "q"], found[PAUSED, "q"]) == (60, 0)


def test_what_a_pause_holds_back_is_apart() -> None:
    queue, other = QueueRow(QueueName("q"), 0.0), QueueRow(QueueName("r"), 0.0)
    pending(queue, "t1", created=NOW - 60)
    queue.paused = True
    held = pending(other, "t2", created=NOW - 30)
    other.pending.discard(held)
    held.kind = Kind(NO_NEEDS, (), keyed=False, pause="p")
    other.pending.push(held)
    found = values(*queue_metrics(state_of(queue, other), NOW))
    assert [found[OLDEST, name] for name in "qr"] == [0, 0]
    assert [found[PAUSED, name] for name in "qr"] == [60, 30]
    assert values(*queue_metrics(state_of(QueueRow(QueueName("e"), 0.0)), NOW))[OLDEST, "e"] == 0


def test_a_service_of_no_replicas_has_its_series() -> None:
    state = State()
    for name, replicas in (("none", 0), ("two", 2)):
        spec = ServiceSpec(b"", 1, None, replicas, 1, 0)
        state.services[ServiceName(name)] = ServiceRow(ServiceName(name), 0.0, spec)
    found = values(*service_metrics(state))
    name = "quorate_service_replicas"
    assert found[name, "none", "wanted"] == found[name, "none", "ready"] == 0
    assert (found[name, "two", "wanted"], found[name, "two", "ready"]) == (2, 0)
    assert found["quorate_service_restarts", "none"] == 0


def test_outcomes_are_counted_by_queue_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.engine.task_metrics.MOST_QUEUES", 3)
    assert MOST_QUEUES > 1_000
    metrics = TaskMetrics()
    for name in ("a", "b", "c", "d", "a"):
        metrics._of(name).ended[TaskState.FAILED] += 1
    found = values(*metrics.collect())
    ended = {
        label: found["quorate_queue_tasks_ended_total", label, "failed"]
        for label in ("default", "a", "b", "other")
    }
    # Of the queue that is always there from the start.
    assert ended == {"default": 0, "a": 2, "b": 1, "other": 2}


def test_the_expiry_of_a_certificate_follows_its_file(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    authority = Authority.create("test", now=now, days=30)
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def issued(days: float) -> None:
        authority.issue("scheduler:s1", hosts=["s1"], now=now, days=days).write(cert, key)

    issued(2)
    settings = SimpleNamespace(tls_cert_file=str(cert), etcd_ca_file="", tls_ca_file="/none")
    metrics = CertificateMetrics(settings)
    name = "quorate_certificate_expiry_timestamp_seconds"
    expiry = (now + dt.timedelta(days=2)).timestamp()
    for _ in range(2):
        assert values(*metrics.collect()) == {(name, "server"): expiry, (name, "ca"): 0}
    cert.unlink()
    issued(3)
    expiry = (now + dt.timedelta(days=3)).timestamp()
    assert values(*metrics.collect())[name, "server"] == expiry
    cert.write_text("no certificate")
    assert values(*metrics.collect())[name, "server"] == 0


async def test_every_series_of_a_process_names_its_cluster() -> None:
    async def ready() -> str:
        return ""

    server = HealthServer("127.0.0.1:0", "scheduler", ready=ready, cluster="blue")
    await server.start()
    try:
        scrape = await asyncio.to_thread(Scrape.of, server.address)
    finally:
        await server.close()
    assert {sample.labels.get("cluster") for sample in scrape.samples} == {"blue"}
    assert scrape.has("quorate_build_info")
    assert scrape.has("quorate_event_loop_lag_seconds")


async def test_a_backup_is_remembered_beside_the_log() -> None:
    etcd = MemoryEtcd()
    assert await last_backup(etcd, b"/quorate/c/") == 0
    await note_backup(etcd, b"/quorate/c/", 1_700_000_000.7)
    assert await last_backup(etcd, b"/quorate/c/") == 1_700_000_000
    assert await last_backup(etcd, b"/quorate/d/") == 0
    await etcd.put(b"/quorate/c/" + LAST_BACKUP, b"?")
    assert await last_backup(etcd, b"/quorate/c/") == 0
