"""Items of jobs, written in parts: each part is a record, and a step of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc

from quorate.etcd.api import EtcdError
from quorate.runtime.errors import QuorateError, not_found, unavailable
from quorate.runtime.ids import TaskId
from scheduler.api.asking import refused
from scheduler.api.origin import caller_name
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobItemsKnown, JobItemsOverlap, Rejection
from scheduler.engine.driver import Driver
from scheduler.storage.job_values import JobValues, ValuesMissing

# Reason of the error for who appends where others have.
ITEMS_DIFFER: Final = "JOB_ITEMS_DIFFER"
# Items of one record, and their bytes unless it is one.
ITEMS_AT_ONCE: Final = 4_096
ITEM_BYTES_AT_ONCE: Final = 256 << 10
# Bytes of the items that are on record together with their job and its template.
_FEW_BYTES: Final = 64 << 10


def are_few(items: Sequence[bytes]) -> bool:
    """Whether items are created together with their job, in one Txn."""
    return 0 < len(items) <= ITEMS_AT_ONCE and sum(map(len, items)) <= _FEW_BYTES


async def load(driver: Driver, values: JobValues, job: TaskId, items: Sequence[bytes]) -> None:
    """Write the items that a job is created with, from where an earlier try has come."""
    row = driver.state.jobs.get(job)
    if row is None or not row.loading:
        return
    await append(driver, values, job, row.array.count, items[row.array.count :], loads=True)


async def append(
    driver: Driver,
    values: JobValues,
    job: TaskId,
    first: int,
    items: Sequence[bytes],
    appender: str = "",
    *,
    loads: bool = False,
) -> int:
    """Append items; how many the job has afterwards.

    Raises:
        QuorateError: as JOB_ITEMS_DIFFER when others are at these positions. Of several parts, the
            first ones may have been appended: the error says how many items.
    """
    count, place, checked = first, 0, 0
    while True:
        end = place + _part(items, place)
        part, last = items[place:end], end >= len(items)
        begin = first + place
        answer = await driver.call(
            lambda token, begin=begin, part=part, last=last, checked=checked: e.JobItemsAdded(  # type: ignore[misc]
                job, begin, part, loads, last, token, checked, appender
            ),
            sum(map(len, part)),
            caller_name(),
        )
        if isinstance(answer, Rejection):
            raise refused(answer)
        if isinstance(answer, JobItemsOverlap):
            # Each time by one item at least.
            checked = await _compared(values, answer, begin, part, appender, place)
            continue
        assert isinstance(answer, JobItemsKnown)
        count, place = answer.size, end
        if last:
            return count


async def _compared(
    values: JobValues,
    there: JobItemsOverlap,
    begin: int,
    part: Sequence[bytes],
    appender: str,
    before: int,
) -> int:
    """Compare the items of a part with those on record; the position behind the last of them."""
    job, end = there.job, min(there.size, begin + len(part))
    try:
        same = await values.same(job, begin, part[: end - begin], appender)
    except EtcdError as error:
        raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
    except ValuesMissing:
        raise not_found("job", job) from None
    if begin + same < end:
        raise QuorateError(
            grpc.StatusCode.ABORTED,
            ITEMS_DIFFER,
            f"first_position: job {job!r} has another item at position {begin + same}; another "
            f"program has appended it; append these items at position {there.size}",
            field="first_position",
            metadata={"job": job, "count": str(there.size), "known": str(before + same)},
        )
    return end


def _part(items: Sequence[bytes], place: int) -> int:
    """How many items from `place` on go into one record."""
    size = count = 0
    for item in items[place : place + ITEMS_AT_ONCE]:
        size += len(item)
        if count and size > ITEM_BYTES_AT_ONCE:
            break
        count += 1
    return count
