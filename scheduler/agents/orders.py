"""The messages to one agent process, and their order.

Everything that gathers while one message is being written goes out in the next. A cancel never
overtakes the assignment it is for.

Bounds: assignments by the node's credit; answers to what an agent reports (acknowledgements, ends
of unknown attempts) by `MOST_ANSWERS` and one message's more, since reports are not read beyond it
(`room`): an agent that reports and does not read is waited for; a message by `_MESSAGE_ITEMS` and
`_MESSAGE_BYTES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from quorate.etcd.api import Etcd, EtcdError, Range
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import Epoch, InstanceId, TaskId
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.agents.array_inputs import list_of
from scheduler.agents.chunk_orders import ChunkOrders
from scheduler.agents.control_orders import ControlOrders
from scheduler.agents.inputs import InputError, with_inputs
from scheduler.agents.result_orders import ResultOrders
from scheduler.core.model.rows import TaskRow
from scheduler.core.values import TaskState
from scheduler.engine.spans import TaskSpans
from scheduler.storage import keys

_MESSAGE_ITEMS: Final = 1_024
_MESSAGE_BYTES: Final = 2 << 20
MOST_ANSWERS: Final = 65_536
# Specs read back in one Txn, if it may hold so many: 1 MiB each at most, and an answer of etcd may
# have 64.
_SPECS_AT_ONCE: Final = 48
# Results of other tasks read in one Txn, as many as one task may have: 1 MiB each at most.
_RESULTS_AT_ONCE: Final = 16
# Seconds until specs are read again that could not be read.
READ_AGAIN: Final = 0.5
# Seconds that an acknowledgement waits for another message to go with: a node that runs one task
# after the other gets it with the next assignment, which saves a message for each task.
ACKNOWLEDGED_WITHIN: Final = 0.005


class Orders:
    """What was not sent yet to one process. `wake` is set whenever there is something."""

    def __init__(self, instance: InstanceId) -> None:
        self.wake = asyncio.Event()
        self._fewer = asyncio.Event()
        self._instance = instance
        # In order, with the row each is of: it may have moved on before it is sent.
        self._assign: list[tuple[TaskRow, int, bytes]] = []
        self._without_spec: list[tuple[TaskRow, int]] = []
        self._cancel: list[tuple[TaskId, int]] = []
        self._acknowledged: list[tuple[TaskId, int]] = []
        # Whether a timer runs that sends them if nothing else does.
        self._acknowledges_soon = False
        self._drain: pb.DrainOrder | None = None
        # To be sent; None when the process knows.
        self._scaling_down: bool | None = None
        self.chunks = ChunkOrders(instance)
        self._controls = ControlOrders()
        self.results = ResultOrders(instance, self.wake.set)

    def start(self, row: TaskRow, attempt: int) -> None:
        if row.chunk is not None:
            self.chunks.start(row, attempt)
        elif row.spec is None or _has_inputs(row):
            self._without_spec.append((row, attempt))
        else:
            self._assign.append((row, attempt, row.spec))
        self.wake.set()

    def cancel(self, task: TaskId, attempt: int) -> None:
        self._cancel.append((task, attempt))
        self.wake.set()

    def signal(self, task: TaskId, attempt: int, signal: int) -> None:
        self._controls.signal(task, attempt, signal)
        self.wake.set()

    def suspend(self, task: TaskId, attempt: int, suspended: bool) -> None:
        self._controls.suspend(task, attempt, suspended)
        self.wake.set()

    def acknowledge(self, task: TaskId, attempt: int) -> None:
        self._acknowledged.append((task, attempt))
        if len(self._acknowledged) >= _MESSAGE_ITEMS:
            self.wake.set()
        elif not self._acknowledges_soon:
            self._acknowledges_soon = True
            asyncio.get_running_loop().call_later(ACKNOWLEDGED_WITHIN, self._acknowledge_now)

    def _acknowledge_now(self) -> None:
        self._acknowledges_soon = False
        if self._acknowledged:
            self.wake.set()

    def acknowledge_report(self, chunk: TaskId, attempt: int, number: int) -> None:
        self.chunks.acknowledge(chunk, attempt, number)
        self.wake.set()

    def recall(self, chunk: TaskId, attempt: int) -> None:
        self.chunks.recall(chunk, attempt)
        self.wake.set()

    def end_subtasks(self, chunk: TaskId, attempt: int, ranges: Sequence[tuple[int, int]]) -> None:
        self.chunks.end_subtasks(chunk, attempt, ranges)
        self.wake.set()

    def forget_job(self, job: TaskId) -> None:
        self.chunks.forget(job)
        self.wake.set()

    def drain(self, draining: bool, grace: float) -> None:
        self._drain = pb.DrainOrder(
            draining=draining, grace=Duration(seconds=int(grace), nanos=int(grace % 1 * 1e9))
        )
        self.wake.set()

    def leave(self, scaling_down: bool) -> None:
        self._scaling_down = scaling_down
        self.wake.set()

    async def room(self) -> None:
        """Wait until the agent has read enough of what it was answered."""
        while len(self._cancel) + len(self._acknowledged) + len(self.chunks) > MOST_ANSWERS:
            self._fewer.clear()
            await self._fewer.wait()

    def clear(self) -> None:
        """The session is over: the next one's inventory settles what was not sent."""
        self._assign.clear()
        self._without_spec.clear()
        self._cancel.clear()
        self._acknowledged.clear()
        self.chunks.clear()
        self._controls.clear()
        self.results.clear()
        self._drain = None
        self._scaling_down = None

    @property
    def needs_specs(self) -> bool:
        """Whether `fetch_specs` has anything to do."""
        return bool(self._without_spec)

    def next_message(self, epoch: Epoch, spans: TaskSpans | None) -> pb.SessionRequest | None:
        """What has gathered, up to the bounds of one message; None when there is nothing."""
        later = self._cancel or self._controls.anything
        cancels = later and not self._without_spec and not self.chunks.waiting
        orders = self._drain is not None or self._scaling_down is not None
        answers = self._acknowledged or self.results.anything
        if not (self._assign or cancels or answers or orders or self.chunks.anything):
            return None
        message = pb.SessionRequest(epoch=epoch)
        size = count = 0
        for row, attempt, spec in self._assign[:_MESSAGE_ITEMS]:
            if size and size + len(spec) > _MESSAGE_BYTES:
                break
            count += 1
            # Told twice, over two sessions, and ended since: the agent has forgotten it and
            # would run it again.
            if _is_current(row, attempt, self._instance):
                size += len(spec)
                if spans is not None:
                    spans.assigned(row, attempt, spec)
                _fill(message.assign.add(), row, attempt, spec)
        del self._assign[:count]
        self.chunks.fill(message)
        self.results.fill(message)
        if not self._assign and not self._without_spec and not self.chunks.unsent:
            # Never ahead of the assignment it is for: the agent ignores what it does not know.
            _move(self._cancel, message.cancel.add)
            self._controls.fill(message)
        _move(self._acknowledged, message.acknowledge.add)
        self._fewer.set()
        if self._drain is not None:
            message.drain.CopyFrom(self._drain)
            self._drain = None
        if self._scaling_down is not None:
            message.leaving = self._scaling_down
            self._scaling_down = None
        return message

    async def fetch_specs(
        self,
        etcd: Etcd,
        prefix: bytes,
        max_txn_ops: int,
        failed: Callable[[TaskRow, int, InputError], None],
    ) -> None:
        """Read back the specs that memory did not keep, and results that are inputs.

        Args:
            failed: called for an attempt that cannot get its inputs.
        """
        wanted, self._without_spec = self._without_spec, []
        at_once = min(_SPECS_AT_ONCE, max_txn_ops)
        for start in range(0, len(wanted), at_once):
            rows = wanted[start : start + at_once]
            reads = [Range(prefix + keys.task_key(row.queue.name, row.id)) for row, _ in rows]
            try:
                found = await etcd.txn((), reads)
            except EtcdError:
                # Tried again with the next wake-up; their attempts stay on record meanwhile.
                self._without_spec.extend(wanted[start:])
                asyncio.get_running_loop().call_later(READ_AGAIN, self.wake.set)
                return
            for (row, attempt), result in zip(rows, found.ranges, strict=True):
                for kv in result.kvs:
                    spec = r.TaskRecord.FromString(kv.value).spec
                    try:
                        if _has_inputs(row):
                            spec = await _complete(row, spec, etcd, prefix, max_txn_ops)
                    except InputError as error:
                        failed(row, attempt, error)
                        continue
                    except EtcdError:
                        self._without_spec.append((row, attempt))
                        asyncio.get_running_loop().call_later(READ_AGAIN, self.wake.set)
                        continue
                    self._assign.append((row, attempt, spec))


def _has_inputs(row: TaskRow) -> bool:
    return row.member is not None and bool(row.member.of.inputs)


async def _complete(
    row: TaskRow, spec: bytes, etcd: Etcd, prefix: bytes, max_txn_ops: int
) -> bytes:
    """A spec with its inputs. What is read was committed before the attempt was: as for specs,
    nothing is fenced, since a leader that was deposed sends nothing that counts.

    Raises EtcdError, InputError.
    """
    member = row.member
    assert member is not None
    assert member.job.members is not None
    nodes = member.job.members.nodes
    wanted = [(parameter, nodes[place]) for parameter, place in member.of.inputs]
    results: list[tuple[str, str, task_pb2.TaskResult | None]] = []
    for parameter, other in wanted:
        if other.part is not None:
            values = await list_of(other.part, other.of.name, etcd, prefix)
            results.append((parameter, other.of.name, values))
    wanted = [one for one in wanted if one[1].part is None]
    at_once = min(_RESULTS_AT_ONCE, max_txn_ops)
    for start in range(0, len(wanted), at_once):
        part = wanted[start : start + at_once]
        reads = [Range(prefix + keys.run_key(row.queue.name, other.task)) for _, other in part]
        found = await etcd.txn((), reads)
        for (parameter, other), read in zip(part, found.ranges, strict=True):
            record = r.RunRecord.FromString(read.kvs[0].value) if read.kvs else r.RunRecord()
            done = record.state == task_pb2.TASK_STATE_SUCCEEDED
            results.append((parameter, other.of.name, record.result if done else None))
    steps = with_inputs(spec, results)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return bytes(done.value)
        await asyncio.sleep(0)


def _is_current(row: TaskRow, attempt: int, instance: InstanceId) -> bool:
    return row.state is TaskState.RUNNING and row.attempt == attempt and row.instance == instance


# Filled in place: a message that is built from keywords and then copied takes three times as long.
def _fill(assignment: pb.Assignment, row: TaskRow, attempt: int, spec: bytes) -> None:
    assignment.task_id = row.id
    assignment.attempt = attempt
    assignment.queue = row.queue.name
    assignment.spec = spec
    assignment.disconnect = int(row.queue.disconnect)  # type: ignore[assignment]


def _move(attempts: list[tuple[TaskId, int]], add: Callable[[], pb.AttemptRef]) -> None:
    """Move as many `attempts` into a message as it may hold."""
    for task, attempt in attempts[:_MESSAGE_ITEMS]:
        ref = add()
        ref.task_id = task
        ref.attempt = attempt
    del attempts[:_MESSAGE_ITEMS]
