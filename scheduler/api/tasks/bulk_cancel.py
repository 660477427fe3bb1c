"""CancelTasks of a leader: which tasks are meant, then one event for them.

Ids are taken as they are. A filter goes through the queues' indexes as ListTasks does, newest
first: 1,000 ids between two turns of the event loop and 100,000 in one call (`reads.find`); what
is left is the next page. Everything is validated before anything is looked for.

A repeat finds only what its first try left: the record of the call says how far it came
(`core.cancelling`), and tasks created after it are behind none of its positions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.runtime import errors
from quorate.runtime.ids import QueueName, TaskId, is_task_id
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import page_tokens
from scheduler.api.asking import ask, audited
from scheduler.api.origin import caller_name
from scheduler.api.servicer import Context
from scheduler.api.tasks import validate
from scheduler.api.validate import queue_name
from scheduler.core.handlers import requests
from scheduler.core.handlers.requests import TASKS_SCOPE
from scheduler.core.model import events as e
from scheduler.core.model.answers import TasksCancelled
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import FINISHED, Change, TaskState
from scheduler.engine.driver import Driver
from scheduler.engine.lane import Lane
from scheduler.storage import reads

_LIVE: Final = frozenset(TaskState) - FINISHED
_KIND: Final = "cancel"


class _Found(NamedTuple):
    tasks: list[TaskId]
    # How many the same call dealt with before these.
    offset: int = 0
    page_end: str = ""


async def cancel_tasks(
    driver: Driver, lane: Lane, request: pb.CancelTasksRequest, context: Context
) -> pb.CancelTasksResponse:
    """Answer CancelTasks. Raises QuorateError."""
    weight = request.ByteSize()
    asked = audited("CancelTasks", request, context)
    states = validate.cancelled(request)
    words = validate.search_words(request.text)
    filters = (request.queue, sorted(states), *words)
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
        found = await _find(driver, lane, request, states or _LIVE, words, filters, known)
    if request.validate_only:
        await driver.readable()
        answer = _count(state, found, states)
    else:

        def make(token: Pending[object]) -> e.TasksCancelAsked:
            return e.TasksCancelAsked(
                found.tasks,
                states,
                asked,
                token,
                found.offset,
                TaskId(found.page_end),
                _subject(request),
                _changes(request, states),
            )

        reply = await ask(driver, asked, make, weight)
        assert isinstance(reply, TasksCancelled)
        answer = reply
    token = page_tokens.encode(_KIND, filters, answer.page_end) if answer.page_end else ""
    cancelled, stopping, finished, not_found, skipped = answer.counts
    return pb.CancelTasksResponse(
        cancelled=cancelled,
        stopping=stopping,
        finished=finished,
        not_found=not_found,
        skipped=skipped,
        next_page_token=token,
    )


async def _find(
    driver: Driver,
    lane: Lane,
    request: pb.CancelTasksRequest,
    states: frozenset[TaskState],
    words: tuple[str, ...],
    filters: tuple[object, ...],
    known: DedupRow | None,
) -> _Found:
    """What the filter finds on this page; of a call that was interrupted, what it left."""
    state = driver.state
    before = page_tokens.decode(_KIND, filters, request.page_token)
    if before is not None and not is_task_id(before):
        raise page_tokens.stale("is malformed; begin again without it")
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
    numbers = frozenset(int(one) for one in states)
    page = await reads.find(lane, caller_name(), state, queues, numbers, before, size, words)
    tasks = [TaskId(task) for _, task in page.ids]
    if known is None:
        return _Found(tasks, 0, page.before or "")
    return _Found([task for task in tasks if task >= known.first_id], offset, known.first_id)


def _count(state: State, found: _Found, states: frozenset[TaskState]) -> TasksCancelled:
    """What cancelling would come to."""
    waiting = running = finished = unknown = skipped = 0
    for task in found.tasks:
        row = state.tasks.get(task)
        if row is None:
            finished += task in state.finished
            unknown += task not in state.finished
        elif states and row.state not in states:
            skipped += 1
        elif row.state is TaskState.RUNNING:
            running += 1
        else:
            waiting += 1
    counts = (waiting, running, finished, unknown, skipped)
    return TasksCancelled(counts, TaskId(found.page_end))


def _subject(request: pb.CancelTasksRequest) -> tuple[str, str, str]:
    """What the audit log names: the first task of a list, or the queue of a filter."""
    if request.ids:
        return "task", request.ids[0], ""
    return "queue", request.queue or "*", request.queue


def _changes(request: pb.CancelTasksRequest, states: frozenset[TaskState]) -> tuple[Change, ...]:
    changes = [Change("states", "", ", ".join(state.name for state in sorted(states)))]
    changes.append(Change("text", "", request.text))
    return tuple(change for change in changes if change.after)
