"""Arrays through whole histories: what was accepted stays and never runs again, and every job ends.

Leaders and agents die, sessions break, reports are lost, late and repeated.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.reply_token import Pending
from scheduler.core.values import NO_LIMITS, Disconnect, JobState, Placement
from tests.simulation.callers import QUEUE
from tests.simulation.schedulers import Term
from tests.simulation.world import World, play
from tests.support.core_jobs import job_spec

ARRAYS = QueueName("arrays")


class JobWorld(World):
    """A world whose work is arrays, with a few tasks between them."""

    weights: ClassVar[dict[str, float]] = {
        "submit": 2,
        "submit_job": 4,
        "control_job": 4,
        "break_session": 3,
        "kill_agent": 1,
        "cut_off_agent": 1,
        "kill_leader": 0.8,
        "depose_leader": 0.8,
        "lose_etcd": 0.4,
        "compact": 0.5,
        "nothing": 60,
    }

    async def start(self) -> None:
        await super().start()
        self.jobs: list[TaskId] = []
        how = (Placement.LEAST_LOADED, Disconnect.KEEP, 20.0, 30)
        request = e.Request("arrays", b"queue")
        await self.callers.call(
            lambda _, token: e.QueueSubmitted(ARRAYS, *how, request, token, NO_LIMITS)
        )

    def submit_job(self) -> None:
        rng = self.rng
        what = job_spec(
            attempts=rng.choice([1, 3]),
            backoff=1.0,
            max_backoff=5.0,
            crash_limit=rng.choice([2, 20]),
            fatal=("Fatal",),
            max_parallel=rng.choice([0, 0, 2]),
            max_failures=rng.choice([None, None, 2]),
        )
        size, queue = rng.choice([0, 1, 30, 200]), rng.choice([ARRAYS, ARRAYS, ARRAYS, QUEUE])
        if queue == QUEUE:
            # Through its rate limit.
            size = min(size, 30)
        self.spawn(self._submit_job(queue, what, size, e.Request(self.callers.name(), b"job")))

    async def _submit_job(
        self, queue: QueueName, what: object, size: int, request: e.Request
    ) -> None:
        def make(term: Term, token: Pending[object]) -> e.Event:
            job = term.ids.next(term.driver.clock.now())
            return e.JobSubmitted(
                queue,
                job,
                what,  # type: ignore[arg-type]
                b"t",
                size,
                open=False,
                loading=False,
                request=request,
                token=token,
            )

        self.callers.under_way += 1
        for _ in range(self.rng.choice([1, 1, 2])):
            answer = await self.callers.call(make)
            assert isinstance(answer, JobKnown), answer
            if answer.job not in self.jobs:
                self.jobs.append(answer.job)
        self.callers.under_way -= 1

    def control_job(self) -> None:
        rng = self.rng
        if self.jobs:
            job = rng.choice(self.jobs[-5:])
            act = rng.choice(["cancel", "pause", "resume", "resume", "retry"])
            self.spawn(self._control_job(job, act))

    async def _control_job(self, job: TaskId, act: str) -> None:
        request = e.Request(self.callers.name(), b"control")
        makes = {
            "cancel": e.JobCancelAsked,
            "retry": e.JobRetryAsked,
            "pause": partial(e.JobPauseAsked, paused=True),
            "resume": partial(e.JobPauseAsked, paused=False),
        }
        self.callers.under_way += 1
        answer = await self.callers.call(
            lambda _, token: makes[act](job=job, request=request, token=token)  # type: ignore[operator]
        )
        assert isinstance(answer, JobKnown | Rejection), answer
        self.callers.under_way -= 1

    async def settle(self) -> None:
        """All jobs end, too: those that are paused are resumed."""
        self.mischief, self.etcd_away = 0.0, False
        for _ in range(600):
            await self.sleep(0.5)
            driver = self.driver
            rows = list(driver.state.jobs.values()) if driver is not None else []
            for row in rows:
                if row.state is JobState.PAUSED:
                    self.spawn(self._control_job(row.id, "resume"))
            if driver is not None and all(row.settled for row in rows):
                break
        else:
            raise AssertionError(
                f"jobs that do not end: {[row for row in rows if not row.settled]}"
            )
        self.ended = len(rows)
        for row in rows:
            for number in row.array.blocks:
                mask = self.history.accepted.get((row.id, number), 0)
                assert row.array.blocks[number].succeeded == mask, f"{row.id} and its record"
            if row.state is JobState.SUCCEEDED:
                assert row.array.succeeded == row.array.count
        await super().settle()


@pytest.mark.parametrize("seed", range(6))
def test_what_is_accepted_stays_and_every_job_ends(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(JobWorld, seed, 20.0)
    assert world.terms > 1
    assert sum(world.history.ran.values()) > 200
