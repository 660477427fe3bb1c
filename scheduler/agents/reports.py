"""What a node agent reports, as events.

Pure translation: whether a report is stale or of something unknown is for the machine to say.
Numbers are held to what can be (`figures`), ids to what ids are (`conduct`): AgentMisbehaviour
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from quorate.blobs.names import Blob, is_well_formed
from quorate.runtime.attempts.outcomes import clean_snooze
from quorate.runtime.attempts.progress import clean_fraction, clean_text
from quorate.runtime.ids import InstanceId, NodeName
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import node_agent_pb2 as pb
from scheduler.agents.conduct import AgentMisbehaviour, check_id
from scheduler.core.arrays.positions import Range, merged
from scheduler.core.arrays.sizes import LARGEST
from scheduler.core.model import events as e
from scheduler.core.model import node_figures as figures
from scheduler.storage.records import blob_of_message, hook_ends, seconds

# An outcome larger than this fits into no Txn. Agents keep to 1 MiB for the result itself.
_OUTCOME_BYTES: Final = (1 << 20) + (128 << 10)
_MAX_BASE_NAMES: Final = 32
# Of one report: what a chunk can have at most. What a lying agent says beyond it is not looked at.
_MOST_POSITIONS: Final = LARGEST


def opened(name: NodeName, instance: InstanceId, first: pb.SessionResponse) -> list[e.Event]:
    """The first message of a session: what the agent has, and whatever else it reports."""
    inventory = first.inventory
    attempts = [
        (check_id(item.task_id), item.attempt, seconds(item.start_time))
        for item in inventory.running
    ]
    attempts += [(check_id(item.task_id), item.attempt, 0.0) for item in inventory.waiting]
    finished = [(check_id(item.task_id), item.attempt) for item in inventory.finished]
    suspended = [(check_id(item.task_id), item.attempt) for item in inventory.suspended]
    session = e.SessionOpened(name, instance, attempts, finished, suspended)
    progress = _progress(instance, inventory.progress)
    return [session, *progress, *events_of(name, instance, first)]


def _progress(
    instance: InstanceId, said: Iterable[pb.AttemptProgress]
) -> Iterator[e.ProgressReported]:
    """What attempts say of themselves; an agent may lie about it as about anything."""
    for one in said:
        fraction = clean_fraction(one.fraction) if one.HasField("fraction") else None
        age = figures.instant(one.age)
        yield e.ProgressReported(
            instance, check_id(one.task_id), one.attempt, fraction, clean_text(one.text), age
        )


def events_of(
    name: NodeName, instance: InstanceId, message: pb.SessionResponse
) -> Iterator[e.Event]:
    """What a message of the node `name` reports, as events."""
    # First: a node that returns attempts and grants no credit does not get the same ones again.
    if message.HasField("stats"):
        yield e.StatsReported(name, instance, figures.stats(message.stats))
    if message.HasField("credit"):
        yield e.CreditReported(name, instance, figures.credit(message.credit))
    for started in message.started:
        yield e.AttemptStarted(
            instance, check_id(started.task_id), started.attempt, seconds(started.start_time)
        )
    if message.progress:
        yield from _progress(instance, message.progress)
    for report in message.chunk_reports:
        yield _reported(report, instance)
    # As a rule all of them together are small enough.
    large = message.ByteSize() > _OUTCOME_BYTES
    for item in message.finished:
        outcome = item.WhichOneof("outcome")
        task = check_id(item.task_id)
        if large and item.ByteSize() > _OUTCOME_BYTES:
            yield _too_large(item, instance)
        elif outcome == "result":
            yield e.AttemptSucceeded(
                instance,
                task,
                item.attempt,
                seconds(item.start_time),
                seconds(item.finish_time),
                item.result,
                _blob(item.result.blob) if item.result.HasField("blob") else None,
                hook_ends(item.hooks) if item.HasField("hooks") else None,
            )
        elif outcome == "error":
            failed = _failed(item, instance, item.error)
            if item.HasField("snooze"):
                failed = failed._replace(snooze=clean_snooze(seconds(item.snooze)))
            yield failed
        else:
            yield e.AttemptReturned(instance, task, item.attempt)
    for back in message.returned:
        yield e.AttemptReturned(instance, check_id(back.task_id), back.attempt)


def _reported(report: pb.ChunkReport, instance: InstanceId) -> e.ChunkReported:
    """A report of a chunk. What is too large for a Txn is a failure of its subtask."""
    failed = [
        e.SubtaskFailed(
            failure.position,
            failure.error.type,
            failure.error.message,
            failure.error,
            tuple(failure.error.base_types[:_MAX_BASE_NAMES]),
        )
        for failure in report.failed[:_MOST_POSITIONS]
    ]
    succeeded = _ranges(report.succeeded)
    runs = report.results[:_MOST_POSITIONS]
    results = [(run.first, int(run.kind), run.values) for run in runs]
    size = report.ByteSize()
    if size > _OUTCOME_BYTES:
        # A correct agent never sends one: none of it counts as a success.
        why = f"the report is {size} bytes long"
        error = task_pb2.TaskError(type="RESULT_TOO_LARGE", message=why)
        every = chain.from_iterable(range(first, last + 1) for first, last in succeeded)
        failed = [
            e.SubtaskFailed(position, error.type, why, error)
            for position in islice(every, _MOST_POSITIONS)
        ]
        succeeded, results = [], []
    return e.ChunkReported(
        instance,
        check_id(report.task_id),
        report.attempt,
        report.number,
        succeeded,
        failed,
        results,
        _ranges(report.returned),
        figures.instant(report.seconds),
    )


def _ranges(ranges: Sequence[job_pb2.IndexRange]) -> list[Range]:
    """Ranges of positions, those that can be none left out; each position once, however often the
    agent names it."""
    found = [
        (one.first, one.last) for one in ranges[:_MOST_POSITIONS] if 0 <= one.first <= one.last
    ]
    return merged(found) if len(found) > 1 else found


def _blob(message: task_pb2.BlobRef) -> Blob:
    """The large result that a node names. Raises AgentMisbehaviour."""
    blob = blob_of_message(message)
    if not is_well_formed(blob):
        raise AgentMisbehaviour("MALFORMED_MESSAGE", "a large result without a proper name")
    return blob


def _too_large(item: pb.AttemptFinished, instance: InstanceId) -> e.AttemptFailed:
    """What becomes of an outcome that no Txn can hold; a correct agent never sends one."""
    error = task_pb2.TaskError(
        type="RESULT_TOO_LARGE", message=f"the outcome is {item.ByteSize()} bytes long"
    )
    return _failed(item, instance, error)


def _failed(
    item: pb.AttemptFinished, instance: InstanceId, error: task_pb2.TaskError
) -> e.AttemptFailed:
    # A correct agent reports no more than this; the rest is not matched.
    bases = tuple(error.base_types[:_MAX_BASE_NAMES])
    return e.AttemptFailed(
        instance,
        check_id(item.task_id),
        item.attempt,
        seconds(item.start_time),
        seconds(item.finish_time),
        error.type,
        error.message,
        error,
        bases,
        hooks=hook_ends(item.hooks) if item.HasField("hooks") else None,
    )
