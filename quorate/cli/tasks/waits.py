"""Why a task that is waited for does not start: said once, after two seconds.

A spinner alone leaves a person to guess whether the cluster is full, the queue paused or the task
too large for every node.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from quorate.cli.hints import command
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.cli.output.waiting import why_pending
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.client.pages import list_nodes, list_queues
from quorate.client.tracking.outcome import is_finished, shown_state
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import EXPLAIN_TASK
from quorate.runtime.errors import QuorateError
from quorate.v1 import queue_pb2, scheduler_pb2, task_pb2

# States of which `waits_for` says something.
MAY_WAIT: Final = (task_pb2.TASK_STATE_PENDING, task_pb2.TASK_STATE_BLOCKED)
# Seconds after which a task that has not started is worth a sentence.
_SOON = 2.0


def waits_for(calls: Calls, found: task_pb2.Task) -> str:
    """Why a PENDING or BLOCKED task has not started, to stand behind "Waiting: ". Raises
    QuorateError."""
    if found.state == task_pb2.TASK_STATE_BLOCKED:
        request = scheduler_pb2.ExplainTaskRequest(id=found.id)
        return without_waits(calls.call(EXPLAIN_TASK, request).explanation.sentence)
    if found.pending_reason:
        return found.pending_reason
    if found.limited_by:
        return f"for {found.limited_by}"
    queues = (queue for queue in list_queues(calls) if queue.name == found.queue)
    queue = next(queues, queue_pb2.Queue(name=found.queue))
    return why_pending(found.spec.resources, queue, list(list_nodes(calls)))


def without_waits(sentence: str) -> str:
    """`for "b", which is RUNNING` of a reason that the cluster gave: `waits for ...`."""
    return sentence.removeprefix("waits").lstrip(", ")


def why_not_started(handle: TaskHandle[Any]) -> str:
    """A sentence; empty when the task has started, or when the cluster does not say."""
    with suppress(QuorateError):
        found = handle.task()
        if found.state in MAY_WAIT:
            return f"Waiting: {waits_for(handle.calls, found)}"
        if found.state == task_pb2.TASK_STATE_SCHEDULED:
            return f"Waiting until {render.zoned(found.schedule_time)}"
    return ""


def stored_attempts(found: task_pb2.Task) -> list[int]:
    """The numbers of a task's attempts that the cluster still stores."""
    return [attempt.number for attempt in found.attempts]


def say_no_attempt(handle: TaskHandle[Any], attempt: int) -> None:
    """Say that a task has no such attempt, and why. Raises QuorateError."""
    found = handle.task()
    if known := stored_attempts(found):
        numbers = ", ".join(map(str, known))
        words = f"has no stored attempt {attempt}; the stored attempts are {numbers}"
    elif is_finished(found):
        words = f"has no output: it is {shown_state(found)} and never started"
    else:
        words = f"has not started: it is {shown_state(found)}"
    err.print(f"quorate: task {found.id} {words}", markup=False)
    if known or is_finished(found):
        return
    if why := why_not_started(handle):
        hint(why)
    hint(f"Show its output when it starts: {command(f'logs -f {found.id}')}")


@contextmanager
def saying_why(handle: TaskHandle[Any]) -> Iterator[None]:
    """Say on standard error why a task has not started: after 2 s, or when waiting times out."""
    with _later(lambda: why_not_started(handle), hint):
        yield


@contextmanager
def saying_why_none(
    client: Client, queue: str, say: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    """As `saying_why`, by `say`, of the first of many tasks that this client submits to a queue.

    Yields what is to be called when the first of them has ended.
    """

    def why() -> str:
        first = next(iter(client.tracker(queue).unfinished), "") or newest_subtask(client, queue)
        return why_not_started(client.get(first)) if first else ""

    with _later(why, say) as once:
        yield once


def newest_subtask(client: Client, queue: str) -> str:
    """The first subtask of the job that came last to a queue, such as a map that has just begun.

    Empty where there is none, or the cluster does not say.
    """
    with suppress(QuorateError):
        for job in client.jobs(queue=queue, states=["active", "paused"], page_size=1):
            return f"{job.id}.{job.spec.first_index}"
    return ""


@contextmanager
def _later(why: Callable[[], str], say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """Say once what `why` returns; yields what says that there is no more need."""
    once = threading.Lock()

    def say_once() -> None:
        if once.acquire(blocking=False) and (words := why()):
            say(words)

    timer = threading.Timer(_SOON, say_once)
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    except TimeoutError:
        timer.cancel()
        say_once()
        raise
    finally:
        timer.cancel()
