"""Callers that create arrays, append to them, pause, cancel and retry them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.arrays.spec import JobSpec
from scheduler.core.model import events as e
from scheduler.core.model.answers import (
    BulkDone,
    JobItemsKnown,
    JobItemsOverlap,
    JobKnown,
    Rejection,
    TaskKnown,
)
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.state import State
from scheduler.core.values import BulkAct, JobState
from tests.simulation.calls.limits import API, ARRAYS, SEAT, WORK
from tests.support.core_jobs import job_spec, updating

if TYPE_CHECKING:
    from tests.simulation.callers import Callers
    from tests.simulation.schedulers import Term

# Jobs that callers look back to.
_RECENT: Final = 5
# Jobs of which subtasks are worth a retry.
_BAD: Final = (JobState.FAILED, JobState.CANCELLED)
_CONTROLS: Final[dict[str, Callable[..., e.Event]]] = {
    "cancel": e.JobCancelAsked,
    "retry": e.JobRetryAsked,
    "close": e.JobClosed,
    "pause": partial(e.JobPauseAsked, paused=True),
    "resume": partial(e.JobPauseAsked, paused=False),
    "widen": partial(e.JobUpdateAsked, make=updating(max_parallel=3, priority=1), changes=()),
    "narrow": partial(e.JobUpdateAsked, make=updating(max_parallel=1, priority=0), changes=()),
}


class JobCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        self.jobs: list[TaskId] = []
        # Those that ended well with a reduce.
        self.reduced = 0
        # Those to which items are appended.
        self._open: list[TaskId] = []

    def submit_job(self) -> None:
        """An array: of some subtasks, or an open one."""
        rng = self._world.rng
        grows = rng.random() < 0.2
        fan_in = rng.choice([None, None, None, 0, 2, 7])
        size = rng.choice([0, 1, 30, 120])
        what = job_spec(
            items=grows,
            attempts=rng.choice([1, 3]),
            backoff=1.0,
            max_backoff=5.0,
            crash_limit=rng.choice([2, 20]),
            fatal=("Fatal",),
            cpu=rng.choice([0.0, 0.0, 0.5]),
            max_parallel=rng.choice([0, 0, 2]),
            max_failures=rng.choice([None, None, 2]),
            reduce=fan_in is not None,
            fan_in=fan_in or 0,
            key=rng.choice(["", "", "", "a"]),
            limits=rng.choice([(), (), (), (SEAT,), (SEAT, API)]) if size <= 30 else (),
            tenant=rng.choice(["", "", "gold"]),
        )
        queue = rng.choice([ARRAYS, ARRAYS, ARRAYS, WORK])
        if queue == WORK:
            # Through its rate limit.
            size = min(size, 30)
        request = self._callers.request(b"job")
        size = 0 if grows else size
        self._callers.begin(partial(self._submit, queue, what, size, request, grows=grows))

    async def _submit(
        self, queue: QueueName, what: JobSpec, size: int, request: e.Request, *, grows: bool
    ) -> None:
        def make(term: Term, token: Pending[object]) -> e.Event:
            job = term.ids.next(term.driver.clock.now())
            return e.JobSubmitted(queue, job, what, b"t", size, grows, False, request, token)

        known: TaskId | None = None
        for _ in range(self._world.rng.choice([1, 1, 2])):
            answer = await self._callers.call(make)
            if isinstance(answer, Rejection):
                assert answer.reason in ("QUEUE_PAUSED", "TASKS_PAUSED"), answer
                return
            assert isinstance(answer, JobKnown), answer
            assert known in (None, answer.job), f"{request.id} made {known} and {answer.job}"
            known = answer.job
        assert known is not None
        history = self._world.history
        history.look()
        assert known in history.arrays.jobs, f"{known} was acknowledged, and is lost"
        history.arrays.promised[known] = None
        self.jobs.append(known)
        if grows:
            self._open.append(known)

    def append_items(self) -> None:
        """Some more for an open array."""
        if self._open:
            job = self._world.rng.choice(self._open[-_RECENT:])
            self._callers.begin(partial(self._append, job, self._world.rng.randint(1, 20)))

    async def _append(self, job: TaskId, count: int) -> None:
        first, checked = -1, 0

        def make(term: Term, token: Pending[object]) -> e.Event | None:
            nonlocal first
            row = term.driver.state.jobs.get(job)
            if row is None:
                return None
            if first < 0:
                first = row.array.count
            items = [b"i"] * count
            return e.JobItemsAdded(job, first, items, False, False, token, checked)

        # Others may append at the same positions: the items are the same.
        answer = await self._callers.call(make)
        while isinstance(answer, JobItemsOverlap):
            assert min(answer.size, first + count) > max(first, checked)
            checked = answer.size
            answer = await self._callers.call(make)
        assert answer is None or isinstance(answer, JobItemsKnown | Rejection), answer

    def control_job(self) -> None:
        """Cancel, pause, resume, retry or change one."""
        rng = self._world.rng
        if self.jobs:
            job = rng.choice(self.jobs[-_RECENT:])
            acts = ["cancel", "pause", "resume", "resume", "retry", "widen", "narrow"]
            self.control(job, rng.choice(acts))

    def control_subtask(self) -> None:
        """Cancel or retry one subtask of one."""
        rng = self._world.rng
        if self.jobs:
            ended = self._world.history.arrays.ended
            bad = [one for one in self.jobs if ended.get(one, JobState.SUCCEEDED) in _BAD]
            cancels = not bad or rng.random() < 0.5
            job = rng.choice(self.jobs[-_RECENT:] if cancels else bad)
            task = TaskId(f"{job}.{rng.choice([0, 1, 2, 5, 29, 100])}")
            asked, many = self._world.history.arrays.asked, rng.choice([0, 0, 3, 20])
            mask = (1 << many) - 1 if many else 1 << int(task.partition(".")[2])
            if not cancels:
                asked[job] = asked.get(job, 0) | mask
            if many:
                tasks = tuple(TaskId(f"{job}.{index}") for index in range(many))
                self._control_many(tasks, BulkAct.CANCEL if cancels else BulkAct.RETRY)
                return
            request = self._callers.request(b"subtask")

            async def whole() -> None:
                answer = await self._callers.call(
                    lambda _, token: (
                        e.SubtaskCancelAsked(task, request, token)
                        if cancels
                        else e.SubtaskRetryAsked(task, request, token)
                    )
                )
                assert isinstance(answer, TaskKnown | Rejection), answer

            self._callers.begin(whole)

    def _control_many(self, tasks: tuple[TaskId, ...], act: BulkAct) -> None:
        """Cancel or retry many subtasks by one call."""
        request = self._callers.request(b"subtasks")

        async def whole() -> None:
            answer = await self._callers.call(
                lambda _, token: e.BulkAsked(tasks, frozenset(), request, token, act=act)
            )
            assert isinstance(answer, BulkDone), answer
            assert sum(answer.counts) == len(tasks), answer

        self._callers.begin(whole)

    def control(self, job: TaskId, how: str) -> None:
        """Ask one thing of a job."""
        request, make = self._callers.request(how.encode()), _CONTROLS[how]

        async def whole() -> None:
            answer = await self._callers.call(
                lambda _, token: make(job=job, request=request, token=token)
            )
            assert isinstance(answer, JobKnown | Rejection), answer

        self._callers.begin(whole)

    def end(self, state: State) -> None:
        """Those that are paused or open go on to their end."""
        for job, row in state.jobs.items():
            if row.state is JobState.PAUSED:
                self.control(job, "resume")
            if row.open and not row.finished:
                self.control(job, "close")

    def check(self, state: State) -> None:
        """What is known of finished jobs is what is on record."""
        for job, row in state.jobs.items():
            if job in self._world.history.graphs.jobs:
                continue
            on_record = self._world.history.arrays.jobs[job]
            succeeded = sum(block.succeeded.bit_count() for block in row.array.blocks.values())
            assert succeeded == on_record.succeeded.bit_count(), f"{job} and its record"
            if row.state is JobState.SUCCEEDED:
                assert row.array.succeeded == row.array.count
                if row.spec.reduce is not None:
                    last = list(row.children.values())[-1]
                    assert last.state is JobState.SUCCEEDED, f"{job} and its last reduce"
                    assert last.array.count == 1, f"{job} and its last reduce"
                    fan_in, parts = row.spec.reduce.fan_in, list(row.children)
                    self._world.history.results.check(job, parts, row.array.count, fan_in)
                    self.reduced += 1
