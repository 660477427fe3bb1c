"""A call about many tasks: which are meant, then one event for them.

Ids are taken as they are. A filter goes through the queues' indexes as ListTasks does, newest
first: 1,000 ids between two turns of the event loop and 100,000 in one call (`reads.find`); what
is left is the next page. Everything is validated before anything is looked for.

A repeat finds only what its first try left: the record of the call says how far it came
(`core.handlers.bulk`), and tasks created after it are behind none of its positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import grpc

from quorate.runtime import errors
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import QueueName, TaskId, is_task_id
from scheduler.api import page_tokens
from scheduler.api.asking import ask, audited
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.api.subtask_place import is_subtask
from scheduler.api.tasks import validate
from scheduler.api.validate import queue_name
from scheduler.core.handlers import requests
from scheduler.core.handlers.requests import TASKS_SCOPE
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.model.jobs.subtasks import find as find_subtask
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import BulkAct, Change, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.long_work.lane import Lane
from scheduler.storage import reads

# Between the position and the instant of a page token.
_AT: Final = "@"


class BulkCall(NamedTuple):
    """One kind of call about many tasks.

    Attributes:
        kind: of its page tokens.
        found: the states in which a filter finds tasks when the request names none.
        expect: what it would come to, of the tasks named and the states asked for.
        instead: what to do with a subtask, `{job}` for the id of its job; empty: it takes subtasks.
    """

    method: str
    kind: str
    act: BulkAct
    found: frozenset[TaskState]
    expect: Callable[[State, list[TaskId], frozenset[TaskState]], tuple[int, ...]]
    instead: str = ""


class BulkAnswer(NamedTuple):
    """The counts, the next page's token, and when the last retried task becomes PENDING."""

    counts: tuple[int, ...]
    next_page_token: str
    last_start: float


class _Found(NamedTuple):
    tasks: list[TaskId]
    # How many the same call dealt with before these.
    offset: int = 0
    page_end: str = ""


class _Filter(NamedTuple):
    states: frozenset[TaskState]
    words: tuple[str, ...]
    group: str
    # What a page token is good for.
    key: tuple[object, ...]
    # Where the page begins: behind which id; and of its first task the instant.
    before: str | None
    start: float


async def bulk(
    call: BulkCall,
    driver: Driver,
    lane: Lane,
    request: Any,
    states: frozenset[TaskState],
    context: Context,
    *,
    rate: float = 0.0,
    update: e.SpecUpdate | None = None,
    changes: tuple[Change, ...] = (),
) -> BulkAnswer:
    """Answer a call about many tasks. Raises QuorateError.

    Args:
        request: with the fields of CancelTasksRequest.
        states: those that it names, validated.
        rate: of RetryTasks.
        update, changes: of UpdateTasks: what becomes of specs, and what the audit log says of it.
    """
    weight = request.ByteSize()
    asked = audited(call.method, request, context)
    if call.instead:
        await _refuse_subtasks(driver, request.ids, call.instead)
    if not request.ids:
        states = states or call.found
    words = validate.search_words(request.text)
    key: tuple[object, ...] = (request.queue, sorted(states), *words)
    group = getattr(request, "error_group", "")
    if group:
        key = (*key, "group", group)
    if rate:
        key = (*key, rate)
    where = _Filter(states, words, group, key, *_page_start(call, key, request.page_token))
    state = driver.state
    known = None
    if asked.id and not request.validate_only:
        known = state.dedup.get(requests.key_of(state, TASKS_SCOPE, asked))
    if known is not None and (known.waiters is not None or known.progress >= known.count):
        # Answered from the record, or with the first caller: nothing is to be found again.
        found = _Found([])
    elif request.ids:
        found = _Found([TaskId(task) for task in dict.fromkeys(request.ids)])
    else:
        found = await _find(driver, lane, request, where, known)
    if request.validate_only:
        await driver.readable()
        answer = BulkDone(call.expect(state, found.tasks, states), TaskId(found.page_end))
    else:
        if call.act.reads:
            # What is read back is to be what memory says.
            await driver.readable()

        def make(token: Pending[object]) -> e.BulkAsked:
            return e.BulkAsked(
                found.tasks,
                states,
                asked,
                token,
                found.offset,
                TaskId(found.page_end),
                _subject(request),
                (*_changes(request, states, rate), *changes),
                act=call.act,
                rate=rate,
                start=where.start,
                update=update,
            )

        reply = await ask(driver, asked, make, weight)
        assert isinstance(reply, BulkDone)
        answer = reply
    return BulkAnswer(answer.counts, _next_token(call, key, rate, answer), answer.last_start)


async def _refuse_subtasks(driver: Driver, ids: Sequence[str], instead: str) -> None:
    """Refuse subtasks that are there. Raises QuorateError: FAILED_PRECONDITION that names the first
    one."""
    for place, task in enumerate(ids):
        if not is_subtask(task):
            continue
        job, position = find_subtask(driver.state, task)
        if job is not None and position >= 0:
            await driver.readable()
            raise QuorateError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "TASK_IS_SUBTASK",
                f"ids[{place}]: task {task!r} is a subtask; {instead.format(job=job.id)}",
                field=f"ids[{place}]",
                metadata={"task": task},
            )


def _page_start(call: BulkCall, key: tuple[object, ...], token: str) -> tuple[str | None, float]:
    position = page_tokens.decode(call.kind, key, token)
    if position is None:
        return None, 0.0
    before, _, at = position.partition(_AT)
    try:
        start = float(at or 0)
    except ValueError:
        raise page_tokens.stale("is malformed; begin again without it") from None
    if not is_task_id(before) or not 0 <= start < 1e11:
        raise page_tokens.stale("is malformed; begin again without it")
    return before, start


def _next_token(call: BulkCall, key: tuple[object, ...], rate: float, answer: BulkDone) -> str:
    if not answer.page_end:
        return ""
    position = str(answer.page_end)
    if rate and answer.last_start:
        position += f"{_AT}{answer.last_start + 1 / rate!r}"
    return page_tokens.encode(call.kind, key, position)


async def _find(
    driver: Driver, lane: Lane, request: Any, where: _Filter, known: DedupRow | None
) -> _Found:
    """What the filter finds on this page; of a call that was interrupted, what it left."""
    state, before = driver.state, where.before
    queues = list(state.queues.values())
    if request.queue:
        name = QueueName(queue_name("queue", request.queue))
        row = state.queues.get(name)
        if row is None:
            await driver.readable()
            raise errors.not_found("queue", name)
        queues = [row]
    size, offset = validate.MAX_CANCELLED, 0
    if known is not None:
        before, size, offset = known.last_id or before, known.count - known.progress, known.progress
    numbers = frozenset(int(one) for one in where.states)
    page = await reads.find(
        lane, caller_name(), state, queues, numbers, before, size, where.words, where.group
    )
    tasks = [TaskId(task) for _, task in page.ids]
    if known is None:
        return _Found(tasks, 0, page.before or "")
    return _Found([task for task in tasks if task >= known.first_id], offset, known.first_id)


def _subject(request: Any) -> tuple[str, str, str]:
    """What the audit log names: the first task of a list, or the queue of a filter."""
    if request.ids:
        return "task", request.ids[0], ""
    return "queue", request.queue or "*", request.queue


def _changes(request: Any, states: frozenset[TaskState], rate: float) -> tuple[Change, ...]:
    changes = (
        Change("states", "", ", ".join(state.name for state in sorted(states))),
        Change("text", "", request.text),
        Change("error_group", "", getattr(request, "error_group", "")),
        Change("max_rate", "", f"{rate:g}/s" if rate else ""),
    )
    return tuple(change for change in changes if change.after)
