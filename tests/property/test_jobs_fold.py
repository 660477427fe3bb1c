"""Random histories of jobs among tasks: what is accepted stays, and standbys know what the leader
knows.

Agents report of chunks in any order, more than once, of subtasks that are not theirs, or never;
processes die; leaders change. At random points the state of a standby is compared with the
leader's."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.arrays.positions import BLOCK, all_ranges, offsets_of
from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, TaskKnown
from scheduler.core.model.events.calls import Parent
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.values import JobState, MemberOf
from scheduler.storage import keys
from scheduler.storage.records.job_results import origins
from tests.support.core_history import History
from tests.support.core_history_base import CALLERS, QUEUES
from tests.support.core_history_end import end_all
from tests.support.core_jobs import Jobs, job_spec
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec
from tests.support.same_state import differences, settle


class JobsHistory(History):
    """A history in which there are jobs, too, also those of schedules."""

    subtasks = (0, 3)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.jobs = Jobs(self.cluster)
        # Reports that were sent, to be repeated.
        self.sent: list[e.ChunkReported] = []
        # Per job, the mask of what succeeded by block, as it was last seen on record.
        self.succeeded: dict[TaskId, dict[int, int]] = {}

    def some_job(self) -> JobRow | None:
        rows = list(self.cluster.state.jobs.values())
        return self.rng.choice(rows) if rows else None

    def some_chunk(self) -> tuple[FakeNode, TaskRow] | None:
        pairs = [
            (node, row)
            for node in self.nodes.values()
            for chunk in node.has
            if (row := self.cluster.state.chunks.get(chunk)) is not None
        ]
        return self.rng.choice(pairs) if pairs else None

    def do_job(self) -> None:
        rng = self.rng
        if len(self.cluster.state.jobs) > 6:
            return
        items = rng.random() < 0.3
        what = job_spec(
            items=items,
            attempts=rng.choice([1, 1, 3]),
            backoff=rng.choice([1.0, 3.0]),
            crash_limit=rng.choice([1, 2]),
            priority=rng.choice([0, 0, 3]),
            fatal=rng.choice([(), ("OSError",)]),
            max_parallel=rng.choice([0, 0, 2]),
            max_failures=rng.choice([None, 3, 0]),
            max_failure_share=rng.choice([0.0, 0.0, 0.1]),
            cpu=rng.choice([0.0, 0.0, 0.5]),
            reduce=rng.random() < 0.3,
            fan_in=rng.choice([0, 0, 3, 700]),
            key=rng.choice(["", "", "x"]),
            limits=rng.choice([(), (), ("licence",), ("api", "licence")]),
            tenant=rng.choice(["", "", "gold", "silver"]),
        )
        size = 0 if items else rng.choice([0, 1, 20, 5_000, 20_000])
        self.jobs.create(
            size,
            what,
            queue=rng.choice(QUEUES),
            open=items and rng.random() < 0.5,
            loading=items and rng.random() < 0.5,
            creator=rng.choice(CALLERS),
        )

    def do_update(self) -> None:
        row = self.some_job()
        if row is not None:
            rng = self.rng
            changes = {
                "priority": rng.choice([-1, 0, 3]),
                "max_parallel": rng.choice([0, 1, 5]),
                "max_failures": rng.choice([None, 1, 10]),
                "name": rng.choice(["", "renamed"]),
            }
            self.jobs.update(row.id, **dict([rng.choice(list(changes.items()))]))

    def do_items(self) -> None:
        row = self.some_job()
        if row is not None and row.spec.items:
            first = max(0, row.array.count - self.rng.randint(-1, 2))
            last = self.rng.random() < 0.3
            self.jobs.add_items(row.id, first, [b"i"] * 5, loads=row.loading, last=last)
            if row.open and self.rng.random() < 0.2:
                self.jobs.close(row.id)

    def do_report(self) -> None:
        found = self.some_chunk()
        if found is None:
            return
        rng, (node, row) = self.rng, found
        assert row.chunk is not None
        taken: list[dict[int, int]] = [{}, {}, {}]
        for number, mask in row.chunk.left.items():
            for place in list(offsets_of(mask))[: rng.choice([2, 10, 5_000])]:
                which = rng.choice([0, 0, 0, 0, 1, 2, 3])
                if which < 3:
                    taken[which][number] = taken[which].get(number, 0) | 1 << place
        succeeded, failed, returned = (all_ranges(masks) for masks in taken)
        first = succeeded[0][0] if succeeded else 0
        results = [(first, 1, [b"1"] * 3)] if rng.random() < 0.5 else []
        self.sent.append(
            self.jobs.report(
                node,
                row.id,
                # Some are not its own.
                succeeded=[*succeeded, (0, 3)],
                failed=[p for a, b in failed for p in range(a, min(b, a + 3) + 1)],
                returned=returned,
                error=rng.choice(["ValueError", "OSError", "CANCELLED"]),
                results=results,
                seconds=rng.choice([0.0, 1e-4, 1.0]),
            )
        )

    do_report_again = do_report

    def do_whole_chunk(self) -> None:
        found = self.some_chunk()
        if found is not None:
            node, row = found
            self.jobs.succeed(node, row.id, self.rng.choice([1e-3, 1e-2]))

    do_whole_chunk_again = do_whole_chunk

    def do_child(self) -> None:
        """A subtask adds a task to its job; some call for an attempt that was given up."""
        found = self.some_chunk()
        if found is None or self.rng.random() < 0.5:
            return
        node, row = found
        assert row.job is not None
        assert row.chunk is not None
        if not row.chunk.ranges:
            return
        c, job = self.cluster, row.job
        task = f"{job.id}.{job.index(row.chunk.ranges[0][0])}"
        chunk = self.rng.choice([row.id, row.id, row.id, c.new_id()])
        parent, what = Parent(task, 0, node.instance, chunk), spec()
        what = what._replace(member=MemberOf(job.id))
        request = e.Request(f"{task}:{self.rng.randint(0, 2)}", b"child")
        c.call(
            lambda token: e.TaskSubmitted(
                job.queue.name, c.new_id(), what, request, token, "", parent
            )
        )

    def do_repeat(self) -> None:
        """A report comes once more, perhaps of a process that is gone."""
        if self.sent:
            self.cluster.step(self.rng.choice(self.sent))

    def do_control_job(self) -> None:
        row = self.some_job()
        if row is not None and self.rng.random() < 0.5:
            action = self.rng.choice(["cancel", "pause", "resume", "resume", "retry", "delete"])
            if action == "resume":
                self.jobs.pause(row.id, paused=False)
            elif action != "cancel" or self.rng.random() < 0.3:
                answer = getattr(self.jobs, action)(row.id)
                if action == "retry" and isinstance(answer, JobKnown):
                    assert row.state in (JobState.ACTIVE, JobState.FAILED, JobState.CANCELLED)

    def do_control_subtask(self) -> None:
        """A caller cancels or retries one, be it as it may."""
        row = self.some_job()
        if row is not None and row.array.count:
            last = min(row.array.count, self.rng.choice([3, 30, 20_000])) - 1
            index = row.index(self.rng.randint(0, last))
            action = self.rng.choice([self.jobs.cancel_one, self.jobs.retry_one])
            answer = action(row.id, index)
            if action == self.jobs.retry_one and isinstance(answer, TaskKnown):
                assert row.state in (JobState.ACTIVE, JobState.PAUSED)

    do_control_subtask_again = do_control_subtask

    def do_idle(self) -> None:
        if self.rng.random() < 0.1:
            self.cluster.step(e.IdleJobsDue())

    def compare(self) -> None:
        c = self.cluster
        self.log.flush()
        # Of the instances that went with their service, the leader hears from its watch.
        for service, known in list(c.state.instances.items()):
            for name in list(known):
                if keys.instance_key(service, name) not in self.log.kept:
                    c.step(e.InstanceGone(service, name))
        c.step(e.TimersDue())
        self.log.flush()
        self.check_record()
        for how, fold in (("followed", self.log.replayed()), ("loaded", self.log.loaded())):
            settle(fold.state, c.now)
            assert differences(c.state, fold.state) == [], how

    def check_record(self) -> None:
        """What succeeded stays so, and has its result once."""
        found: dict[TaskId, dict[int, int]] = {}
        results: dict[tuple[str, int], bytes] = {}
        ran: set[tuple[str, int]] = set()
        for key, value in self.log.kept.items():
            kind, _, rest = key.decode().partition("/")
            if kind == "job-blocks":
                job, number = rest.split("/")
                record = r.JobBlockRecord.FromString(value)
                mask = int.from_bytes(record.succeeded, "little")
                mask = (1 << BLOCK) - 1 if record.all_succeeded else mask
                found.setdefault(TaskId(job), {})[int(number)] = mask
            elif kind == "job-results":
                job, number, first = rest.split("/")
                of_block = r.JobResultsRecord.FromString(value)
                runs = of_block.runs
                assert (runs or of_block.positions)[0].first == int(first)
                for _, _, ranges in origins(of_block):
                    for begin, end in ranges:
                        ran.update((job, position) for position in range(begin, end + 1))
                for run in runs:
                    for position in range(run.first, run.first + len(run.values)):
                        assert position // BLOCK == int(number)
                        assert (job, position) not in results, "two results"
                        results[job, position] = key
        for job, masks in self.succeeded.items():
            if job in self.cluster.state.jobs:
                for block, mask in masks.items():
                    now = found.get(job, {}).get(block, 0)
                    assert not mask & ~now, f"{job}: an accepted subtask is lost"
        for name, position in results:
            known = found.get(TaskId(name), {}).get(position // BLOCK, 0)
            assert known >> position % BLOCK & 1, f"{name}: a result of what did not succeed"
        for name, block, mask in ((j, b, m) for j in found for b, m in found[j].items()):
            places = {block * BLOCK + place for place in range(BLOCK) if mask >> place & 1}
            mine = {place for job, place in ran if job == name and place // BLOCK == block}
            assert mine == places, f"{name}: nobody knows who ran {sorted(places - mine)[:5]}"
        self.succeeded = found

    def fail_over(self) -> None:
        c = self.cluster
        c.lead(self.log.followed() if self.rng.random() < 0.5 else self.log.loaded().state)
        c.step(e.TimersDue())
        for node in self.nodes.values():
            node.register()
            node.open()
            node.credit(4)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_accepted_stays_and_standbys_know_it(seed: int):
    history = JobsHistory(seed)
    for _ in range(6):
        history.run(60)
        history.compare()
        if history.rng.random() < 0.6:
            history.fail_over()
    # The last leader finishes everything.
    jobs = history.jobs
    for row in list(history.cluster.state.jobs.values()):
        jobs.pause(row.id, paused=False)
        jobs.close(row.id)
        if row.loading or row.array.pending > 500:
            # Through a rate limit so many would take hours.
            jobs.cancel(row.id)
    end_all(history, jobs)
    history.compare()
