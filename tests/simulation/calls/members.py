"""Attempts that add tasks to the job that they belong to, also when they run no longer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection, TaskCreated, TaskKnown
from scheduler.core.model.events.calls import Parent
from scheduler.core.model.reply_token import Pending
from scheduler.core.values import MemberOf
from tests.simulation.promises.members import AddedBy
from tests.support.core_specs import spec

if TYPE_CHECKING:
    from tests.simulation.agents import Agent
    from tests.simulation.callers import Callers
    from tests.simulation.schedulers import Term

# Why an attempt can add nothing: it, or its job, is over, or nothing is accepted at the moment.
_REFUSED = (
    *("PARENT_NOT_RUNNING", "JOB_FINISHED", "JOB_NOT_FOUND"),
    *("QUEUE_PAUSED", "TASKS_PAUSED"),
)


class MemberCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        # Tasks that were added, and calls that were refused.
        self.added = self.refused = 0

    def add(self, agent: Agent, task: str, attempt: int, chunk: str = "") -> None:
        """An attempt adds a task or two, where it belongs to a job."""
        jobs = self._world.history.members.job_of
        job = task.partition(".")[0] if chunk else jobs.get(TaskId(task), "")
        queue = self._world.history.queue_of(job)
        if not queue:
            return
        by = AddedBy(task, attempt, agent.instance, chunk)
        for number in range(self._world.rng.choice([1, 1, 2])):
            self._callers.begin(partial(self._add, by, TaskId(job), queue, number))

    async def _add(self, by: AddedBy, job: TaskId, queue: str, number: int) -> None:
        rng = self._world.rng
        what = spec(payload=by.text, attempts=rng.choice([1, 3]), backoff=0.3, max_backoff=5.0)
        what = what._replace(member=MemberOf(job))
        # The same one of each attempt of the task: it adds no second one.
        request = e.Request(f"{by.task}:{number}", b"child")
        parent = Parent(by.task, by.attempt, by.instance, by.chunk)

        def make(term: Term, token: Pending[object]) -> e.Event:
            task = term.ids.next(term.driver.clock.now())
            return e.TaskSubmitted(QueueName(queue), task, what, request, token, "", parent)

        answer = await self._callers.call(make)
        match answer:
            case TaskCreated(task=task) | TaskKnown(task=task):
                self.added += 1
                self._world.history.reply(request.id, [task])
            case Rejection(reason=reason):
                assert reason in _REFUSED, answer
                self.refused += 1
            case _:
                raise AssertionError(answer)
