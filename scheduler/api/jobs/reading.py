"""Reads of what lies below a job: subtasks, results, errors.

States come from the leader's memory, behind a barrier; results, errors and items from etcd. What is
asked for is bounded by pages; what is looked at for one page by `BLOCKS_AT_ONCE` blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Final

from quorate.etcd.api import Etcd, EtcdError
from quorate.runtime.errors import not_found
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import page_tokens
from scheduler.api.asking import PAGE_BYTES
from scheduler.api.jobs import views
from scheduler.api.jobs.error_groups import add
from scheduler.api.jobs.stored import StoredOutcomes, no_answer
from scheduler.api.validate import between, known_enum, page_size
from scheduler.core.arrays.positions import BLOCK, offsets_of, within
from scheduler.core.handlers.chunks.reduces import latest
from scheduler.core.model.rows import JobRow
from scheduler.engine.driver import Driver
from scheduler.storage.held import Held
from scheduler.storage.job_results import Value
from scheduler.storage.job_values import JobValues, ValuesMissing, template_name

# Blocks looked at for one page, and ranges: a look at each of 20,000 takes some 10 ms.
BLOCKS_AT_ONCE: Final = 512
RANGES_AT_ONCE: Final = 20_000
# Results of a block that are held at once; of one with more, the records are read again.
HELD_BYTES: Final = 32 << 20
# Seconds between two looks at a job whose results are followed: at first, and at most. Who follows
# a job of short subtasks is not to wait for long, and a look at a block takes some 20 us.
_FIRST_LOOK: Final = 0.001
_LOOK: Final = 0.1
_SLOWER: Final = 1.1


class JobReader:
    """Reads what lies below jobs, for one term; each method raises QuorateError.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, driver: Driver, etcd: Etcd, prefix: bytes, values: JobValues) -> None:
        self._driver = driver
        self._state = driver.state
        self._stored = StoredOutcomes(etcd, prefix)
        self._values = values

    # -- subtasks

    async def subtasks(
        self, row: JobRow, request: pb.ListSubtasksRequest
    ) -> pb.ListSubtasksResponse:
        """A page of subtasks, as ranges or with details."""
        size = page_size(request.page_size)
        between("first_position", request.first_position, 0, 10**9)
        wanted = frozenset(
            known_enum("states", state, range(1, views.CANCELLED + 1)) for state in request.states
        )
        filters = (row.id, sorted(wanted), request.details)
        token = page_tokens.decode("subtasks", filters, request.page_token)
        if token is not None and not (token.isascii() and token.isdecimal() and len(token) < 16):
            raise page_tokens.stale("is malformed; begin again without it")
        begin = int(token) if token else request.first_position
        most = size if request.details else 0
        found, after = _page(row, begin, wanted, size, most)
        answer = pb.ListSubtasksResponse()
        if request.details:
            answer.subtasks.extend(_bare(row, found))
        else:
            answer.ranges.extend(views.subtask_range(row, one) for one in found)
        await self._driver.readable()
        if request.details:
            kept = await self._add_details(row, answer.subtasks)
            if kept < len(answer.subtasks):
                after = answer.subtasks[kept].index
                after = (after - row.spec.first_index) // row.spec.index_step
                del answer.subtasks[kept:]
        if after is not None:
            answer.next_page_token = page_tokens.encode("subtasks", filters, str(after))
        return answer

    async def _add_details(self, row: JobRow, subtasks: Sequence[job_pb2.Subtask]) -> int:
        """Add results, errors and items; how many of the subtasks fit into a page."""
        spec = row.spec
        by_position = {(one.index - spec.first_index) // spec.index_step: one for one in subtasks}
        blocks: dict[int, list[int]] = {}
        for position in by_position:
            blocks.setdefault(position // BLOCK, []).append(position)
        end, length = row.array.count, 0
        for number, mine in blocks.items():
            end = await self._add_outcomes(row, number, {p: by_position[p] for p in mine})
            length += sum(by_position[position].ByteSize() for position in mine)
            if end < (number + 1) * BLOCK or length > PAGE_BYTES:
                break
        length = 0
        for place, (position, one) in enumerate(by_position.items()):
            if spec.items and position < end:
                try:
                    [one.item] = await self._values.items(row.id, ((position, position),))
                except EtcdError as error:
                    raise no_answer(error) from error
                except ValuesMissing:
                    self._check_there(row)
            length += one.ByteSize()
            if place and (length > PAGE_BYTES or position >= end):
                return place
        return len(subtasks)

    async def _add_outcomes(
        self, row: JobRow, number: int, mine: Mapping[int, job_pb2.Subtask]
    ) -> int:
        """Add results and errors of a block; before which position this is complete."""
        end = (number + 1) * BLOCK
        if any(one.state == views.SUCCEEDED for one in mine.values()):
            ran: dict[int, tuple[str, str]] = {}
            results = await self._stored.results(row, number, mine, PAGE_BYTES, ran)
            end = results.end
            for position, (kind, value) in results:
                _set_result(mine[position], kind, value)
            for position, (node, _) in ran.items():
                if mine[position].state == views.SUCCEEDED:
                    mine[position].node = node
        if any(one.state == views.FAILED for one in mine.values()):
            errors: Held[tuple[task_pb2.TaskError, str]] = Held(PAGE_BYTES, end)
            async for record in self._stored.errors(row, number):
                for failure in record.failures:
                    size = failure.error.ByteSize()
                    for position in failure.positions:
                        if position in mine and mine[position].state == views.FAILED:
                            errors.put(position, (failure.error, record.node), size)
                errors.trim()
            end = errors.end
            for position, (error, node) in errors:
                mine[position].error.CopyFrom(error)
                mine[position].node = node
        self._check_there(row)
        return end

    def _check_there(self, row: JobRow) -> None:
        """A job that was deleted while it was read has values no longer: these are not None."""
        if self._state.jobs.get(row.id) is not row:
            raise not_found("job", row.id)

    async def add_result(self, row: JobRow, view: job_pb2.Job) -> None:
        """Add what the last reduce of a job gave, where it has ended well."""
        if view.state != job_pb2.JOB_STATE_SUCCEEDED or (level := latest(row)) is None:
            return
        if row.spec.reduce is None:
            return
        held = await self._stored.results(level, 0, (0,), PAGE_BYTES)
        for _, (kind, value) in held:
            if kind == job_pb2.ResultRun.KIND_JSON:
                view.result.json = value.decode(errors="replace")
            else:
                view.result.pickle = value
        self._check_there(row)

    def settled(self, row: JobRow, position: int) -> bool:
        """Whether a subtask has finished."""
        return views.state_at(row, position) not in (views.PENDING, views.RUNNING)

    async def as_task(self, row: JobRow, position: int, *, full: bool) -> task_pb2.Task:
        """One subtask as a task."""
        (one,) = _bare(row, [(position, position, views.state_at(row, position))])
        view = views.task(row, position, one)
        await self._driver.readable()
        await self._add_details(row, [one])
        if one.HasField("result"):
            view.result.CopyFrom(one.result)
        if one.HasField("error"):
            view.error.CopyFrom(one.error)
        if one.node and not view.attempts:
            view.attempts.add(number=one.attempt, node=one.node)
        if full:
            try:
                template = await self._values.template(template_name(row))
            except EtcdError as error:
                raise no_answer(error) from error
            except ValuesMissing:
                raise not_found("task", view.id) from None
            view.spec.CopyFrom(task_pb2.TaskSpec.FromString(template))
        return view

    async def ran_by(self, row: JobRow, position: int) -> tuple[str, str] | None:
        """Node and chunk that ran a subtask last; None where no record says so."""
        found = await self._stored.ran_by(row, position)
        self._check_there(row)
        return found

    # -- results

    async def results(
        self, row: JobRow, request: pb.ReadJobResultsRequest
    ) -> AsyncGenerator[pb.ReadJobResultsResponse, None]:
        """Results in the order of positions; see the RPC."""
        between("first_position", request.first_position, 0, 10**9)
        between("count", request.count, 0, 10**9)
        at, look = request.first_position, _FIRST_LOOK
        while True:
            end = row.array.count
            if request.count:
                end = min(end, request.first_position + request.count)
            open_end = (
                not row.over
                and (row.open or row.loading)
                and not (request.count and end == request.first_position + request.count)
            )
            if at >= end:
                if not (request.follow and open_end):
                    return
                await asyncio.sleep(look)
                look = min(_LOOK, look * _SLOWER)
                continue
            stop = min(end, (at // BLOCK + 1) * BLOCK)
            ranges = list(_cut(views.states(row, at // BLOCK), at, stop))
            if request.follow and not row.finished:
                ranges = list(_settled(ranges))
            if not ranges:
                await asyncio.sleep(look)
                look = min(_LOOK, look * _SLOWER)
                continue
            look = _FIRST_LOOK
            await self._driver.readable()
            async for answer in self._answers(row, ranges):
                yield answer
            at = ranges[-1][1] + 1

    async def _answers(
        self, row: JobRow, ranges: list[views.StateRange]
    ) -> AsyncGenerator[pb.ReadJobResultsResponse, None]:
        """The results of ranges within one block, in messages of a page's size."""
        number = ranges[0][0] // BLOCK
        values: dict[int, Value] = {}
        # Before it, values are known.
        known = 0
        answer, size = pb.ReadJobResultsResponse(), 0
        for first, last, state in ranges:
            if state != views.SUCCEEDED:
                answer.others.append(views.subtask_range(row, (first, last, state)))
                answer.next_position = last + 1
                continue
            for position in range(first, last + 1):
                if position >= known:
                    rest = range(position, (number + 1) * BLOCK)
                    held = await self._stored.results(row, number, rest, HELD_BYTES)
                    self._check_there(row)
                    values, known = dict(held), held.end
                value = values.get(position)
                if value is not None:
                    if size + len(value[1]) > PAGE_BYTES and size:
                        yield answer
                        answer, size = pb.ReadJobResultsResponse(), 0
                    _add(answer, position, value)
                    size += len(value[1]) + 4
                answer.next_position = position + 1
        yield answer

    # -- errors

    async def errors(self, row: JobRow) -> pb.ListJobErrorsResponse:
        """The failures of a job, grouped; where a reduce failed, those of its level."""
        level = latest(row) if row.spec.reduce is not None else None
        if level is not None and level.array.failed:
            row = level
        failed = row.array.failed
        await self._driver.readable()
        groups: dict[tuple[str, str], job_pb2.JobErrorGroup] = {}
        counted = 0
        async for record in self._stored.errors(row, None):
            for failure in record.failures:
                counted += len(failure.positions)
                add(row, groups, failure)
        self._check_there(row)
        answer = pb.ListJobErrorsResponse()
        answer.groups.extend(
            sorted(groups.values(), key=lambda group: (-group.count, group.first_index))
        )
        grouped = sum(group.count for group in groups.values())
        answer.others = max(0, max(failed, counted) - grouped)
        return answer


def _page(
    row: JobRow, begin: int, wanted: frozenset[int], size: int, most: int
) -> tuple[list[views.StateRange], int | None]:
    """Ranges from a position on, and the position of the next page (None: there is none).

    Args:
        size: ranges at most. most: subtasks at most; 0: any.
    """
    number = begin // BLOCK
    last_block = min(row.array.size, number + BLOCKS_AT_ONCE)
    blocks = (
        one for n in range(number, last_block) for one in _cut(views.states(row, n), begin, None)
    )
    found: list[views.StateRange] = []
    subtasks = 0
    for looked, (first, last, state) in enumerate(views.joined(blocks)):
        if looked >= RANGES_AT_ONCE:
            return found, first
        if wanted and state not in wanted:
            continue
        if most:
            last = min(last, first + most - subtasks - 1)
            subtasks += last - first + 1
        found.append((first, last, state))
        if len(found) == size or (most and subtasks >= most):
            return found, last + 1 if last + 1 < row.array.count else None
    after = last_block * BLOCK
    return found, after if after < row.array.count else None


def _cut(ranges: list[views.StateRange], begin: int, end: int | None) -> Iterator[views.StateRange]:
    """Ranges as far as they lie in `[begin, end)`."""
    for first, last, state in ranges:
        first = max(first, begin)
        last = last if end is None else min(last, end - 1)
        if first <= last:
            yield first, last, state


def _settled(ranges: list[views.StateRange]) -> Iterator[views.StateRange]:
    """Those before the first that is not finished."""
    for one in ranges:
        if one[2] in (views.PENDING, views.RUNNING):
            return
        yield one


def _bare(row: JobRow, ranges: list[views.StateRange]) -> Iterator[job_pb2.Subtask]:
    """Subtasks with what memory knows of them."""
    running: dict[int, int] = {}
    for number, mask in within(((first, last) for first, last, _ in ranges), 0, row.array.size):
        running[number] = running.get(number, 0) | mask
    nodes = {
        number * BLOCK + place: chunk.node
        for chunk in row.chunks.values()
        if chunk.chunk is not None
        for number, mask in chunk.chunk.left.items()
        for place in offsets_of(mask & running.get(number, 0))
    }
    for first, last, state in ranges:
        for position in range(first, last + 1):
            number, place = divmod(position, BLOCK)
            block = row.array.blocks.get(number)
            index = row.index(position)
            yield job_pb2.Subtask(
                id=f"{row.id}.{index}",
                index=index,
                state=state,  # type: ignore[arg-type]
                attempt=block.attempts_of(place) if block is not None else 0,
                node=nodes.get(position, ""),
            )


def _set_result(one: job_pb2.Subtask, kind: int, value: bytes) -> None:
    if one.state != views.SUCCEEDED:
        return
    if kind == job_pb2.ResultRun.KIND_JSON:
        one.result.json = value.decode(errors="replace")
    else:
        one.result.pickle = value


def _add(answer: pb.ReadJobResultsResponse, position: int, value: Value) -> None:
    """Add a result: to the last run where it is its neighbour."""
    kind, data = value
    run = answer.runs[-1] if answer.runs else None
    if run is None or run.kind != kind or run.first + len(run.values) != position:
        run = answer.runs.add(first=position, kind=kind)
    run.values.append(data)
