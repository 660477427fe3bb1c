"""The part of the state that is about the tasks that belong to jobs."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.changes import JobChanges
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model.rows import FinishedRow, JobRow
from scheduler.core.values import MemberOf, TaskState


class MemberState:
    """Which tasks belong to jobs. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        # Jobs, live and finished; no chunk of theirs is in `State.tasks`.
        self.jobs: dict[TaskId, JobRow] = {}
        self.job_changes = JobChanges()

    def join_job(self, task: TaskId, of: MemberOf | None) -> Member[JobRow] | None:
        """A new task of a job; None where the job is on record no longer."""
        job = self.jobs.get(of.job) if of is not None else None
        if job is None or of is None:
            return None
        if job.members is None:
            job.members = Members()
        member = Member(job, task, of)
        job.members.join(member)
        return member

    def member_is(self, member: Member[JobRow], state: TaskState) -> None:
        """A task of a job is in a state from now on."""
        members = member.job.members
        assert members is not None
        members.counts[state] += 1
        members.skipped += member.skipped
        member.state = state
        self.job_changes.note(member.job.id)

    def member_was(self, member: Member[JobRow]) -> None:
        """A task of a job leaves the state that it is in."""
        members = member.job.members
        assert members is not None
        members.counts[member.state] -= 1
        members.skipped -= member.skipped

    def member_gone(self, done: FinishedRow, *, deleted: bool) -> None:
        """A finished task of a job is deleted, or about to be live again."""
        member = done.member
        if member is None:
            return
        done.queue.kept -= 1
        self.member_was(member)
        if not deleted:
            member.skipped, member.cursor = False, 0
        elif member.job.members is not None:
            member.job.members.tasks.pop(done.id, None)
