"""Messages that reach a task queue become tasks: one each, in the commit of the message's other
copies.

    publish -> routed to the queue -> prepare (refused as CreateTask is) -> create --> one Txn with
                                                                                       the message
A repeated publication comes here no second time: its number is settled in the Txn of its task.

The broker calls this within its own step, on the event loop of the leader, so no step of the task
machine is under way. What it changes is gathered here, and taken by the broker's driver once the
step is done (`take`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.ids import QueueName, TaskId, offset_id
from scheduler.core.broker.intake import Asked, Prepared
from scheduler.core.handlers.limits.length import DROPPED_AT_ONCE
from scheduler.core.handlers.limits.unique import refuse_duplicate
from scheduler.core.handlers.quotas.check import refuse_created
from scheduler.core.handlers.tasks.creation import WRITE_BYTES, create, existing, refuse_tasks
from scheduler.core.jobs import placeholders
from scheduler.core.jobs.from_message import made_of
from scheduler.core.model.answers import ErrorKind, Rejection, no_queue
from scheduler.core.model.effects import Effects
from scheduler.core.model.indexes.usage import tasks_units
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.core.values import LengthPolicy, TaskSpec

# Writes of a task with a unique key, beside its own: its window's, and the ends of those that it
# replaces.
_UNIQUE_WRITES: Final = 3


class MessageTasks:
    """The `TaskIntake` of one term. Its memory is that of one step.

    Args:
        next_id: makes the first id of a run of new tasks.
        refused: makes the error of a rejection.
        max_payload: bytes of a spec, the message included.
        read: a template, of its bytes on record.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        next_id: Callable[[float], TaskId],
        refused: Callable[[Rejection], QuorateError],
        max_payload: int,
        read: Callable[[bytes], TaskSpec | None],
    ) -> None:
        self._state = state
        self._limits = limits
        self._next_id = next_id
        self._refused = refused
        self._max_payload = max_payload
        self._read = read
        self._out: Effects | None = None
        self._first = TaskId("")
        self._made = 0

    def take(self) -> Effects | None:
        """What the step that is over has made necessary; None: nothing."""
        out, self._out = self._out, None
        return out

    def check_bound(self, queue: str) -> None:
        """See `TaskIntake`."""
        self._row(queue)

    def prepare(self, asked: Sequence[Asked], creator: str, now: float) -> list[Prepared]:
        """See `TaskIntake`."""
        made = [(self._row(one.queue), self._made_of(one)) for one in asked]
        by_queue: dict[QueueName, list[TaskSpec]] = {}
        found = [
            existing(self._state, row.name, spec) is not None or _is_twin(by_queue, row.name, spec)
            for row, spec in made
        ]
        for queue, specs in by_queue.items():
            self._raise(
                _refuse_twins(specs, queue)
                or refuse_tasks(
                    self._state, self._limits, queue, specs, tasks_units(specs), creator
                )
            )
        if len(by_queue) > 1:
            # Of the caller all of them count.
            specs = [spec for some in by_queue.values() for spec in some]
            least = min(by_queue, key=lambda name: self._state.queues[name].usage.tasks)
            usage, units = self._state.queues[least].usage, tasks_units(specs)
            self._raise(
                refuse_created(self._state, self._limits, usage, creator, len(specs), units)
            )
        return [
            _prepared(row, None if there else spec)
            for (row, spec), there in zip(made, found, strict=True)
        ]

    def prepare_dead(self, asked: Sequence[Asked], now: float) -> list[Prepared | None]:
        """See `TaskIntake`. Unique keys, and the bound of live tasks, hold all the same."""
        room = self._limits.live_tasks - len(self._state.tasks)
        found: list[Prepared | None] = []
        for one in asked:
            made = self._prepared_dead(one, room > 0)
            room -= made is not None and made.spec is not None
            found.append(made)
        return found

    def _prepared_dead(self, asked: Asked, is_room: bool) -> Prepared | None:
        try:
            row, spec = self._row(asked.queue), self._made_of(asked)
        except QuorateError:
            return None
        if existing(self._state, row.name, spec) is not None:
            return _prepared(row, None)
        if not is_room or refuse_duplicate(self._state, row, (spec,)):
            return None
        return _prepared(row, spec)

    def create(self, prepared: Prepared, creator: str, now: float) -> None:
        """See `TaskIntake`."""
        spec: TaskSpec | None = prepared.spec
        name = QueueName(prepared.queue)
        # One before it in the step may have taken its key.
        if spec is None or existing(self._state, name, spec) is not None:
            return
        if self._out is None:
            self._out = Effects()
            self._first, self._made = self._next_id(now), 0
        task = offset_id(self._first, self._made)
        self._made += 1
        self._state.last_instant = now
        out = self._out
        known = len(out.announced or ())
        create(self._state, self._state.queues[name], task, spec, now, out, creator)
        if spec.from_event and out.announced is not None:
            # The end of a task that it pushed out of a full queue: that would push out more.
            del out.announced[known:]

    def _row(self, queue: str) -> QueueRow:
        """The queue, which takes messages. Raises NOT_FOUND, FAILED_PRECONDITION."""
        row = self._state.queues.get(QueueName(queue))
        if row is None:
            raise self._refused(no_queue(QueueName(queue)))
        if row.template is None:
            raise self._refused(no_template(queue))
        return row

    def _made_of(self, asked: Asked) -> TaskSpec:
        template = self._state.queues[QueueName(asked.queue)].template
        if template is not None and placeholders.has_any(template.spec):
            template = self._read(placeholders.resolved(template.spec, asked.payload))
        assert template is not None
        spec = made_of(template, asked)
        if len(spec.spec) > self._max_payload:
            raise invalid(
                "message",
                f"{len(spec.spec)} bytes with the message template of queue {asked.queue!r}; a "
                f"task has at most {self._max_payload}",
                reason="PAYLOAD_TOO_LARGE",
                limit=self._max_payload,
                value=len(spec.spec),
            )
        if spec.limits is not None and "\0" in spec.limits.ordering:
            raise invalid("message.properties.ordering_key", "must not hold a NUL character")
        return spec

    def _raise(self, rejection: Rejection | None) -> None:
        if rejection is not None:
            raise self._refused(rejection)


def no_template(queue: str) -> Rejection:
    """The queue takes no messages."""
    return Rejection(
        ErrorKind.PRECONDITION,
        "QUEUE_WITHOUT_TEMPLATE",
        f"queue {queue!r} has no message template, which says what a message becomes; set one with "
        f'"quorate queue template set {queue} ..."',
        "queue",
        queue,
    )


def _prepared(row: QueueRow, spec: TaskSpec | None) -> Prepared:
    if spec is None:
        return Prepared(row.name, None, 0, 0)
    writes = 1
    if row.limits.max_length and row.limits.length_policy is LengthPolicy.DROP_OLDEST:
        writes += DROPPED_AT_ONCE
    if spec.limits is not None and spec.limits.unique:
        writes += _UNIQUE_WRITES
    return Prepared(row.name, spec, len(spec.spec) + WRITE_BYTES, writes)


def _is_twin(by_queue: dict[QueueName, list[TaskSpec]], queue: QueueName, spec: TaskSpec) -> bool:
    """Whether one before it will be the task with its unique key; otherwise it is one of them."""
    specs = by_queue.setdefault(queue, [])
    limits = spec.limits
    if limits is not None and limits.unique and not (limits.rejects or limits.replaces):
        for other in specs:
            if other.limits is not None and other.limits.unique == limits.unique:
                return True
    specs.append(spec)
    return False


def _refuse_twins(specs: Sequence[TaskSpec], queue: QueueName) -> Rejection | None:
    """Whether two tasks that are created together have one unique key, which refuses the second."""
    seen: dict[str, None] = {}
    for spec in specs:
        limits = spec.limits
        if limits is None or not limits.unique or not limits.rejects:
            continue
        if limits.unique in seen:
            return Rejection(
                ErrorKind.EXISTS,
                "TASK_ALREADY_EXISTS",
                f"another message of the transaction becomes the task of queue {queue!r} with the "
                f"unique key {limits.unique!r}",
                "queue",
                queue,
            )
        seen[limits.unique] = None
    return None
