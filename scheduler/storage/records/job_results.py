"""What subtasks gave, and why some failed, as records: written with the blocks, never folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import NodeName, TaskId
from scheduler.core.arrays.positions import BLOCK, Range
from scheduler.core.model import effects as fx


def results_value(write: fx.PutJobResults) -> bytes:
    """A record of results, serialized."""
    record = results_record(write.runs)
    record.node, record.chunk = write.node, write.chunk
    for first, last in write.positions:
        record.positions.add(first=first, last=last)
    return record.SerializeToString()


def merged_values(write: fx.MergeJobResults) -> list[tuple[int, bytes]]:
    """The records that take the place of many: (first position, serialized)."""
    found = [(runs[0][0], results_record(runs)) for runs in write.records]
    if not found:
        found = [(write.block * BLOCK, r.JobResultsRecord())]
    for node, chunk, positions in write.origins:
        origin = found[0][1].origins.add(node=node, chunk=chunk)
        for first, last in positions:
            origin.positions.add(first=first, last=last)
    return [(first, record.SerializeToString()) for first, record in found]


def origins(record: r.JobResultsRecord) -> Iterator[tuple[NodeName, TaskId, list[Range]]]:
    """Who ran what, as a record of results says: node, chunk, positions."""
    for origin in record.origins:
        ranges = [(one.first, one.last) for one in origin.positions]
        yield NodeName(origin.node), TaskId(origin.chunk), ranges
    if record.chunk:
        ranges = [(one.first, one.last) for one in record.positions]
        if not ranges:
            ranges = [(run.first, run.first + len(run.values) - 1) for run in record.runs]
        yield NodeName(record.node), TaskId(record.chunk), ranges


def results_record(runs: Iterable[tuple[int, int, Sequence[bytes]]]) -> r.JobResultsRecord:
    """Results as a record."""
    record = r.JobResultsRecord()
    for first, kind, values in runs:
        record.runs.add(first=first, kind=kind, values=values)
    return record


def errors_value(write: fx.PutJobErrors) -> bytes:
    """A record of errors, serialized."""
    record = r.JobErrorsRecord(node=write.node, chunk=write.chunk)
    for positions, error, kind, message in write.failures:
        found = record.failures.add(positions=positions)
        if error is not None:
            found.error.CopyFrom(error)  # type: ignore[arg-type]
        else:
            found.error.type, found.error.message = kind, message
    return record.SerializeToString()
