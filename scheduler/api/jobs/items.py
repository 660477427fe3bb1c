"""Items of jobs, written in parts: each part is a record, and a step of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.api.asking import refused
from scheduler.api.origin import caller_name
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobItemsKnown, Rejection
from scheduler.engine.driver import Driver

# Items of one record, and their bytes unless it is one.
ITEMS_AT_ONCE: Final = 4_096
ITEM_BYTES_AT_ONCE: Final = 256 << 10
# Bytes of the items that are on record together with their job and its template.
_FEW_BYTES: Final = 64 << 10


def are_few(items: Sequence[bytes]) -> bool:
    """Whether items are created together with their job, in one Txn."""
    return 0 < len(items) <= ITEMS_AT_ONCE and sum(map(len, items)) <= _FEW_BYTES


async def load(driver: Driver, job: TaskId, items: Sequence[bytes]) -> None:
    """Write the items that a job is created with, from where an earlier try has come."""
    row = driver.state.jobs.get(job)
    if row is None or not row.loading:
        return
    await append(driver, job, row.array.count, items[row.array.count :], loads=True)


async def append(
    driver: Driver, job: TaskId, first: int, items: Sequence[bytes], *, loads: bool = False
) -> int:
    """Append items; how many the job has afterwards. Raises QuorateError."""
    count, place = first, 0
    while True:
        end = place + _part(items, place)
        part, last = items[place:end], end >= len(items)
        begin = first + place
        answer = await driver.call(
            lambda token, begin=begin, part=part, last=last: e.JobItemsAdded(  # type: ignore[misc]
                job, begin, part, loads, last, token
            ),
            sum(map(len, part)),
            caller_name(),
        )
        if isinstance(answer, Rejection):
            raise refused(answer)
        assert isinstance(answer, JobItemsKnown)
        count, place = answer.size, end
        if last:
            return count


def _part(items: Sequence[bytes], place: int) -> int:
    """How many items from `place` on go into one record."""
    size = count = 0
    for item in items[place : place + ITEMS_AT_ONCE]:
        size += len(item)
        if count and size > ITEM_BYTES_AT_ONCE:
            break
        count += 1
    return count
