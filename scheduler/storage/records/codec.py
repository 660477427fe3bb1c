"""The codec between the core's rows and the protobuf records in etcd.

The only place that knows both. `encode` is called right after the step that made the writes: rows
move on afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import WRITE_OVERHEAD, weigh
from quorate.internal.v1 import records_pb2 as r
from scheduler.core.model import effects as fx
from scheduler.core.model.state import State
from scheduler.storage import keys
from scheduler.storage.records import audit as audit_records
from scheduler.storage.records import jobs
from scheduler.storage.records.calls import dedup_record
from scheduler.storage.records.nodes import control_record, lost_node_record
from scheduler.storage.records.queues import limits, pauses
from scheduler.storage.records.queues import quotas as quota_records
from scheduler.storage.records.queues.queues import queue_record
from scheduler.storage.records.ranges import prefix_range
from scheduler.storage.records.schedules import schedule_record
from scheduler.storage.records.services import service_record
from scheduler.storage.records.tasks.tasks import (
    have_one_record,
    run_record,
    run_value,
    task_value,
)


class Codec:
    """Encodes the writes of one cluster, whose keys begin with `prefix`."""

    def __init__(self, prefix: bytes, state: State) -> None:
        self._prefix = prefix
        self._tasks = prefix.decode() + "tasks/"
        self._runs = prefix.decode() + "runs/"
        self._state = state

    def run_record(self, write: fx.PutRun) -> r.RunRecord:
        """See `run_record`."""
        return run_record(write)

    def encode(self, writes: Iterable[fx.Write], ops: list[Put | Delete]) -> int:
        """Append the ops of `writes` to `ops`, in order; what they weigh (`batch.weigh`)."""
        size = 0
        last: fx.PutTask | None = None
        for write in writes:
            if type(write) is fx.PutRun:
                row = write.row
                key = f"{self._runs}{row.queue.name}/{row.id}".encode()
                value = run_value(write)
            elif type(write) is fx.PutTask:
                row = write.row
                key = f"{self._tasks}{row.queue.name}/{row.id}".encode()
                # Equal tasks of a batch have equal records.
                if last is None or not have_one_record(write, last):
                    task_record = task_value(write)
                last, value = write, task_record
            else:
                begin = len(ops)
                self._encode_other(write, ops)
                size += weigh(ops[begin:])
                continue
            ops.append(Put(key, value))
            size += len(key) + len(value) + WRITE_OVERHEAD
        return size

    def _encode_other(self, write: fx.Write, ops: list[Put | Delete]) -> None:
        prefix = self._prefix
        match write:
            case fx.PutDedup(key, row):
                value = dedup_record(row).SerializeToString()
                ops.append(Put(prefix + keys.dedup_key(*key), value))
            case fx.DropDedup(key):
                ops.append(Delete(prefix + keys.dedup_key(*key)))
            case fx.DropTask(queue, task):
                ops.append(Delete(prefix + keys.task_key(queue, task)))
                ops.append(Delete(prefix + keys.run_key(queue, task)))
            case fx.DropTasks(queue, first, last):
                for key_of in (keys.task_key, keys.run_key):
                    end = prefix + key_of(queue, last) + b"\0"
                    ops.append(Delete(prefix + key_of(queue, first), end))
            case fx.PutQueue(row):
                ops.append(
                    Put(prefix + keys.queue_key(row.name), queue_record(row).SerializeToString())
                )
            case fx.DropQueue(queue):
                ops.append(Delete(prefix + keys.queue_key(queue)))
            case fx.PutQuota(kind, name, quota):
                ops.append(Put(prefix + keys.quota_key(kind, name), quota_records.record(quota)))
            case fx.DropQuota(kind, name):
                ops.append(Delete(prefix + keys.quota_key(kind, name)))
            case fx.PutLimit(row):
                value = limits.limit_record(row).SerializeToString()
                ops.append(Put(prefix + keys.limit_key(row.name), value))
            case fx.DropLimit(name):
                ops.append(Delete(prefix + keys.limit_key(name)))
            case fx.PutPause(row):
                ops.append(Put(prefix + keys.pause_key(row.name), pauses.pause_record(row)))
            case fx.DropPause(name):
                ops.append(Delete(prefix + keys.pause_key(name)))
            case fx.PutRate(rate, arrival):
                ops.append(Put(prefix + keys.rate_key(*rate), limits.arrival_record(arrival)))
            case fx.PutUnique(queue, digest, window):
                value = limits.window_record(window).SerializeToString()
                ops.append(Put(prefix + keys.unique_key(queue, digest), value))
            case fx.DropUnique(queue, digest):
                ops.append(Delete(prefix + keys.unique_key(queue, digest)))
            case fx.PutControl(node):
                value = control_record(self._state.control(node)).SerializeToString()
                ops.append(Put(prefix + keys.control_key(node), value))
            case fx.PutScalingDown(node, row):
                mark = r.LeavingRecord(instance=row.instance, mark_time=row.since)
                ops.append(Put(prefix + keys.scaling_down_key(node), mark.SerializeToString()))
            case fx.DropScalingDown(node):
                ops.append(Delete(prefix + keys.scaling_down_key(node)))
            case fx.PutLostNode(row):
                value = lost_node_record(row).SerializeToString()
                ops.append(Put(prefix + keys.lost_node_key(row.name), value))
            case fx.DropLostNode(node):
                ops.append(Delete(prefix + keys.lost_node_key(node)))
            case fx.PutService(row):
                ops.append(
                    Put(
                        prefix + keys.service_key(row.name), service_record(row).SerializeToString()
                    )
                )
            case fx.PutSchedule(row):
                value = schedule_record(row).SerializeToString()
                ops.append(Put(prefix + keys.schedule_key(row.name), value))
            case fx.DropSchedule(schedule):
                ops.append(Delete(prefix + keys.schedule_key(schedule)))
            case fx.PutAudit(entry):
                value = audit_records.record(write).SerializeToString()
                ops.append(Put(prefix + audit_records.key_of(entry), value))
            case fx.DropService(service):
                ops.append(Delete(prefix + keys.service_key(service)))
                # Of outside processes: nobody can renew them any more.
                ops.append(Delete(*prefix_range(prefix, keys.instance_key(service, ""))))
            case _:
                ops.extend(jobs.job_ops(prefix, write))

    def encode_purges(self, out: fx.Effects) -> list[Delete]:
        """The deletions of retention: a run of neighbours is a range."""
        ops: list[Delete] = []
        for run in out.purges:
            for key in (keys.task_key, keys.run_key):
                first = self._prefix + key(run.queue, run.first)
                if run.first == run.last:
                    ops.append(Delete(first))
                else:
                    ops.append(Delete(first, self._prefix + key(run.queue, run.last) + b"\0"))
        for job in out.purged_jobs:
            ops.extend(jobs.drop_ops(self._prefix, job))
        ops.extend(Delete(self._prefix + keys.dedup_key(*key)) for key in out.purged_requests)
        ops.extend(Delete(self._prefix + keys.rate_key(*rate)) for rate in out.purged_rates or ())
        for name in out.purged_windows or ():
            ops.append(Delete(self._prefix + keys.unique_key(*name)))
        if out.purged_audit is not None:
            first, last = map(audit_records.key_of, out.purged_audit)
            ops.append(Delete(self._prefix + first, self._prefix + last + b"\0"))
        return ops
