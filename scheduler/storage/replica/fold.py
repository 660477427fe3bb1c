"""A standby's state: the log's records folded into the same type that the leader works on.

Fed by `scheduler.storage.replica.replica` with the keys of a snapshot and then of the watch, in the
order of the log. Owns the state until this process is elected; then the machine takes it over as it
is.

It accepts whatever the log holds, in any order a snapshot or a Txn can bring it: a run before its
task cannot happen (`keys.SNAPSHOT_ORDER`, and `PutTask` precedes `PutRun` in a Txn), a run without
a task is left by nothing we write and is skipped with a warning.

A restore from a backup writes in the order of keys. What comes behind its first record is left out,
`restoring` says so, and whoever wants to lead has to fold anew when the restore is done.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from quorate.etcd.generation import FIRST_GENERATION, generation_in
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.model import transitions
from scheduler.core.model.rows import NO_INSTANCE, TaskRow
from scheduler.core.model.schedules import ScheduleName
from scheduler.core.model.state import State
from scheduler.core.values import ServiceName, TaskState
from scheduler.storage import keys, records
from scheduler.storage.records import audit as audit_records
from scheduler.storage.records.queues import quotas as quota_records
from scheduler.storage.records.queues.pauses import pause_row
from scheduler.storage.replica.broker_fold import BrokerFold
from scheduler.storage.replica.job_fold import JobFold
from scheduler.storage.replica.moved_tasks import MovedTasks
from scheduler.storage.replica.node_fold import NodeFold

log = structlog.get_logger(__name__)


class Fold:
    """Folds keys (without the cluster's prefix) into `state`.

    Attributes:
        generation: of the cluster, as the log says.
        broker: message queues and what is in them.
        restoring: a restore was seen: the state is not what the log says.
        latest: the instant that the log's last record names, as far as records name one. Not the
            greatest: a leader whose clock was ahead may have led before.
    """

    def __init__(self, new_state: Callable[[], State] = State) -> None:
        self._new_state = new_state
        self._mod = 0
        self._moved = MovedTasks(self._drop_task)
        self.broker = BrokerFold()
        self.reset()
        self._nodes = NodeFold(lambda: self.state)
        self._jobs = JobFold(lambda: self.state, self._names, self._nodes.run_was_on)
        self._puts: dict[bytes, Callable[[bytes, bytes, int], None]] = {
            b"tasks": self._put_task,
            b"runs": self._put_run,
            b"queues": self._put_queue,
            b"jobs": self._jobs.put_job,
            b"job-blocks": self._jobs.put_block,
            b"chunks": self._jobs.put_chunk,
            b"dedup": self._put_dedup,
            b"controls": self._nodes.put_control,
            b"audit": self._put_audit,
            b"quotas": self._put_quota,
            b"limit-groups": self._put_limit,
            b"pauses": self._put_pause,
            b"rates": self._put_rate,
            b"unique": self._put_unique,
            b"leaving": self._nodes.put_scaling_down,
            b"lost": self._nodes.put_lost,
            b"nodes": self._nodes.put_node,
            b"service-specs": self._put_service,
            b"services": self._put_instance,
            b"schedules": self._put_schedule,
            b"head": self._put_head,
            b"generation": self._put_generation,
            b"restoring": self._put_restoring,
        }

    def reset(self) -> None:
        """Begin anew: a snapshot follows."""
        self.state = self._new_state()
        self.head = r.HeadRecord()
        self.revision = 0
        self._moved.clear()
        self.broker.reset()
        self.generation = FIRST_GENERATION
        self.restoring = False
        self.latest = 0.0
        self._latest_at = 0

    def at(self, revision: int) -> None:
        """Everything up to `revision` is folded."""
        self._moved.settle()
        self.broker.at()
        if not self.revision:
            self._settle()
        self.revision = revision

    def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
        """A key was written."""
        if self.restoring:
            return
        if self._moved.tasks:
            self._moved.settle(mod_revision)
        kind = key.partition(b"/")[0]
        handler = self._puts.get(kind)
        if handler is not None:
            self._mod = mod_revision
            handler(key, value, lease)
        else:
            self.broker.put(kind, key, value, mod_revision)

    def deleted(self, key: bytes, revision: int = 0) -> None:
        """A key was deleted; 0: in a Txn of its own."""
        if self.restoring:
            return
        if self._moved.tasks:
            self._moved.settle(revision)
        kind, _, rest = key.partition(b"/")
        if kind == b"runs" or kind == b"tasks":
            queue, _, name = rest.partition(b"/")
            task = TaskId(name.decode())
            row = self.state.tasks.get(task)
            if row is None or not revision:
                self._drop_task(task)
            elif row.queue.name == queue.decode():
                self._moved.went(task, revision)
        elif kind == b"chunks" or kind == b"jobs":
            self._jobs.deleted(kind, TaskId(rest.rpartition(b"/")[2].decode()))
        elif kind == b"queues":
            self.state.queues.pop(QueueName(rest.decode()), None)
            self.state.pause_ends.pop(QueueName(rest.decode()), None)
        elif kind in self._nodes.KINDS:
            self._nodes.deleted(kind, NodeName(rest.decode(errors="replace")))
        elif kind == b"dedup":
            self.state.forget_request(keys.split_dedup_key(key))
        elif kind == b"quotas":
            self.state.set_quota(*keys.split_quota_key(key), None)
        elif kind == b"limit-groups":
            self.state.permits.shared.pop(rest.decode(), None)
        elif kind == b"pauses":
            self.state.pauses.drop(rest.decode())
        elif kind == b"rates":
            self.state.permits.arrivals.pop(keys.split_rate_key(key), None)
        elif kind == b"unique":
            self.state.permits.windows.pop(keys.split_unique_key(key), None)
        elif kind == b"audit":
            self.state.audit.discard(audit_records.id_of(key))
        elif kind == b"service-specs":
            self.state.drop_service(ServiceName(rest.decode()))
        elif kind == b"services":
            self._drop_instance(key)
        elif kind == b"schedules":
            self.state.schedules.drop(ScheduleName(rest.decode()))
        else:
            self.broker.deleted(kind, key, revision)

    def _report_illegal_moves(self) -> None:
        moves = self.state.illegal_moves
        for task, before, after in moves:
            log.error("transition_not_allowed", task=task, before=before.name, after=after.name)
        moves.clear()

    def _names(self, instant: float) -> None:
        """The record that is being folded names an instant of when it was written."""
        if self._mod > self._latest_at:
            self._latest_at, self.latest = self._mod, instant
        elif self._mod == self._latest_at and instant > self.latest:
            self.latest = instant

    def _put_task(self, key: bytes, value: bytes, lease: int) -> None:
        state = self.state
        _, queue_name, task_name = key.decode().split("/")
        task = TaskId(task_name)
        done = None
        if not state.is_new(task):
            row = state.tasks.get(task)
            if row is not None:
                self._update(row, QueueName(queue_name), value)
                return
            done = state.finished.get(task)
        record = r.TaskRecord.FromString(value)
        create_time = record.create_time
        self._names(create_time)
        spec = records.recorded_spec(record.spec)
        if record.HasField("member"):
            spec = spec._replace(member=records.task_member(record))
        if done is not None:
            # Written again: retried by hand. Its run record follows in the same Txn.
            transitions.reopen(state, done, spec, create_time, record.created_by)
            self._report_illegal_moves()
            return
        queue = state.queues[QueueName(queue_name)]
        transitions.begin(state, task, queue, spec, create_time, record.created_by)

    def _update(self, row: TaskRow, name: QueueName, value: bytes) -> None:
        """The spec of a live task was written again: updated, moved to another queue, or retried in
        the Txn in which it failed. Its run record follows."""
        record = r.TaskRecord.FromString(value)
        queue = None
        if row.queue.name != name:
            queue = self.state.queues[name]
            self._moved.came(row.id)
        if row.spec != record.spec or queue is not None:
            spec = records.recorded_spec(record.spec)
            transitions.update(self.state, row, spec, queue=queue)

    def _put_run(self, key: bytes, value: bytes, lease: int) -> None:
        state = self.state
        task = TaskId(key.rpartition(b"/")[2].decode())
        row = state.tasks.get(task)
        if row is None:
            log.warning("run_without_task", task=task)
            return
        name, instance = row.node, row.instance
        status = records.run_status(task, value)
        if isinstance(status, transitions.FinalStatus):
            # Of one that ended nothing is later than its end: see `core.attempts`.
            written = status.finish_time
            done = transitions.apply_final_status(state, row, status)
            if done.member is None:
                done.queue.retained.append(done)
        else:
            written = max(status.assign_time, status.start_time)
            transitions.apply_status(state, row, status)
        if written:
            self._names(written)
        if state.illegal_moves:
            self._report_illegal_moves()
        if instance:
            self._nodes.run_was_on(name, instance, status.instance)

    def _drop_task(self, task: TaskId) -> None:
        state = self.state
        done = state.finished.get(task)
        row = state.tasks.get(task)
        if row is not None:
            # It finished and was deleted within one Txn, whose last write of a key is all we see.
            name, instance = row.node, row.instance
            done = transitions.finish(state, row, TaskState.CANCELLED, state.last_instant)
            if instance:
                self._nodes.run_was_on(name, instance, NO_INSTANCE)
        if done is not None:
            state.forget(done)
            done.queue.index.removed(1, state.on_record)

    def _put_queue(self, key: bytes, value: bytes, lease: int) -> None:
        new = records.queue_row(value)
        old = self.state.queues.get(new.name)
        if old is None:
            self.state.queues[new.name] = new
            self.state.set_pause(new, new.pause, paused=new.paused)
            return
        # Another one where it was deleted and made again within one Txn.
        old.create_time = new.create_time
        old.placement = new.placement
        old.disconnect = new.disconnect
        old.retention_age = new.retention_age
        old.retention_count = new.retention_count
        self.state.set_pause(old, new.pause, paused=new.paused)
        old.limits = new.limits
        old.order = new.order
        old.place, old.template, old.events = new.place, new.template, new.events
        old.unknown_fields = new.unknown_fields

    def _put_dedup(self, key: bytes, value: bytes, lease: int) -> None:
        row = records.dedup_row(value)
        self.state.observe(row.create_time)
        self._names(row.create_time)
        self.state.remember(keys.split_dedup_key(key), row)

    def _put_audit(self, key: bytes, value: bytes, lease: int) -> None:
        entry = audit_records.id_of(key)
        self.state.observe(audit_records.instant(entry))
        self._names(audit_records.instant(entry))
        self.state.audit.add(entry)

    def _put_quota(self, key: bytes, value: bytes, lease: int) -> None:
        self.state.set_quota(*keys.split_quota_key(key), quota_records.quota(value))

    def _put_limit(self, key: bytes, value: bytes, lease: int) -> None:
        row = records.limit_row(value)
        self.state.observe(row.create_time)
        self.state.permits.shared[row.name] = row

    def _put_pause(self, key: bytes, value: bytes, lease: int) -> None:
        row = pause_row(value)
        self.state.observe(row.since)
        self.state.pauses.put(row)

    def _put_rate(self, key: bytes, value: bytes, lease: int) -> None:
        # An instant that may lie ahead: it is not observed.
        self.state.permits.arrivals[keys.split_rate_key(key)] = records.arrival(value)

    def _put_unique(self, key: bytes, value: bytes, lease: int) -> None:
        # As above: its end is not observed.
        self.state.permits.windows[keys.split_unique_key(key)] = records.window(value)

    def _put_service(self, key: bytes, value: bytes, lease: int) -> None:
        self.state.put_service(records.service_row(value))

    def _put_schedule(self, key: bytes, value: bytes, lease: int) -> None:
        # Its instants are not the log's: they may lie in the future.
        index = self.state.schedules
        known = index.rows.get(ScheduleName(key.partition(b"/")[2].decode()))
        index.put(records.schedule_row(value, known))

    def _put_instance(self, key: bytes, value: bytes, lease: int) -> None:
        # Not journalled, so anybody's program may have written it.
        named = keys.split_instance_key(key)
        instance = records.instance_row(*named, value, lease) if named else None
        if instance is None:
            # Whatever it was before, it can no longer be known.
            self._drop_instance(key)
        else:
            self.state.put_instance(instance)

    def _drop_instance(self, key: bytes) -> None:
        if named := keys.split_instance_key(key):
            self.state.drop_instance(ServiceName(named[0]), named[1])

    def _put_head(self, key: bytes, value: bytes, lease: int) -> None:
        self.head = r.HeadRecord.FromString(value)

    def _put_generation(self, key: bytes, value: bytes, lease: int) -> None:
        self.generation = generation_in(value)

    def _put_restoring(self, key: bytes, value: bytes, lease: int) -> None:
        self.restoring = True

    def _settle(self) -> None:
        """Put what the snapshot brought in the order of keys into the order of time."""
        for queue in self.state.queues.values():
            ordered = sorted(queue.retained, key=lambda done: done.finish_time)
            queue.retained.clear()
            queue.retained.extend(ordered)
            jobs = sorted(queue.retained_jobs, key=lambda job: job.finish_time)
            queue.retained_jobs.clear()
            queue.retained_jobs.extend(jobs)
        self.state.dead.settle()
        line = self.state.dedup_line
        by_age = sorted(line, key=lambda scope: self.state.dedup[scope].create_time)
        line.clear()
        line.extend(by_age)
