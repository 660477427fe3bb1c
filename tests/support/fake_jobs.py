"""Jobs of the fake scheduler: arrays whose subtasks run in its thread pool, and their RPCs.

Faults are ordered as those of other calls; `stop_after` ends a stream of results after so many
answers, as a dying scheduler does.
"""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from quorate.client.chunk import load
from quorate.runtime.errors import QuorateError, invalid, not_found, precondition
from quorate.v1 import job_pb2, scheduler_pb2, task_pb2
from tests.support.fake_appends import refuse_others
from tests.support.fake_cluster import FakeCluster, now
from tests.support.fake_reduces import run_reduce

if TYPE_CHECKING:
    from tests.support.fake_scheduler import FakeServer

PENDING, RUNNING = job_pb2.SUBTASK_STATE_PENDING, job_pb2.SUBTASK_STATE_RUNNING
SUCCEEDED, FAILED = job_pb2.SUBTASK_STATE_SUCCEEDED, job_pb2.SUBTASK_STATE_FAILED
CANCELLED = job_pb2.SUBTASK_STATE_CANCELLED
FINAL = (SUCCEEDED, FAILED, CANCELLED)
LIVE = (job_pb2.JOB_STATE_ACTIVE, job_pb2.JOB_STATE_PAUSED)
# Positions of one answer of results: small, so that tests see several.
PAGE = 3


@dataclass
class FakeJob:
    job: job_pb2.Job
    items: list[bytes] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    values: dict[int, bytes] = field(default_factory=dict)
    errors: dict[int, task_pb2.TaskError] = field(default_factory=dict)
    attempts: Counter[int] = field(default_factory=Counter)
    appenders: list[str] = field(default_factory=list)
    # Its only level of reduces.
    level: FakeJob | None = None

    def index(self, position: int) -> int:
        return self.job.spec.first_index + (self.job.spec.index_step or 1) * position

    def is_readable(self, position: int) -> bool:
        """Whether a reader that waits for the next position can go on."""
        return position >= len(self.states) or self.states[position] in FINAL

    def shown(self) -> job_pb2.Job:
        """The job with its counts, finished when its last subtask is."""
        counts = Counter(self.states)
        job = self.job
        job.count = len(self.states)
        job.counts.pending, job.counts.running = counts[PENDING], counts[RUNNING]
        job.counts.succeeded, job.counts.failed = counts[SUCCEEDED], counts[FAILED]
        job.counts.cancelled = counts[CANCELLED]
        if job.state in LIVE and not job.open and all(one in FINAL for one in self.states):
            job.state = job_pb2.JOB_STATE_SUCCEEDED
            if job.cancel_requested:
                job.state = job_pb2.JOB_STATE_CANCELLED
            elif counts[FAILED] or (job.spec.HasField("reduce") and not self.reduce()):
                job.state = job_pb2.JOB_STATE_FAILED
            job.finish_time.CopyFrom(now())
        return job

    def reduce(self) -> bool:
        """Run the reduce; whether it succeeded."""
        other = "0" if self.job.id.endswith("f") else "f"
        level_id = self.job.id[:-1] + other
        level = self.level = FakeJob(job_pb2.Job(id=level_id), [b""], [SUCCEEDED])
        error = run_reduce(self.job, self.values)
        if error is not None:
            level.states, level.errors = [FAILED], {0: error}
        shown = level.shown()
        self.job.reduce.CopyFrom(job_pb2.JobReducePhase(level=1, levels=1))
        self.job.reduce.started.add(id=shown.id, count=1, state=shown.state, counts=shown.counts)
        return error is None


class JobServicer:
    """The RPCs about jobs; a part of the fake servicer."""

    _cluster: FakeCluster
    _server: FakeServer
    _serving: Any

    def _job(self, job_id: str) -> FakeJob:
        found: FakeJob | None = self._cluster.jobs.get(job_id)
        for one in self._cluster.jobs.values():
            if one.level is not None and one.level.job.id == job_id:
                found = one.level
        if found is None:
            raise not_found("job", job_id)
        return found

    def _answer(self, method, context, request, response, act):
        with self._serving(method, context), self._cluster.lock:
            found = self._job(request.id)
            act(found)
            job = found.shown()
            self._cluster.lock.notify_all()
            return response(job=job)

    def CreateJob(self, request, context):
        with self._serving("CreateJob", context), self._cluster.lock:
            cluster = self._cluster
            if (request.queue or "default") not in cluster.queues:
                raise not_found("queue", request.queue)
            known = cluster.requests.get(request.request_id)
            if known is not None:
                return scheduler_pb2.CreateJobResponse(job=cluster.jobs[known[0]].shown())
            job_id = cluster.new_id()
            job = job_pb2.Job(
                id=job_id,
                queue=request.queue or "default",
                spec=request.spec,
                state=job_pb2.JOB_STATE_ACTIVE,
                open=request.spec.open,
            )
            job.create_time.CopyFrom(now())
            job.start_time.CopyFrom(now())
            del job.spec.items[:]
            found = cluster.jobs[job_id] = FakeJob(job)
            cluster.requests[request.request_id] = [job_id]
            items = request.spec.items
            self._add(found, list(items) or [None] * request.spec.count)
            return scheduler_pb2.CreateJobResponse(job=found.shown())

    def AppendJobItems(self, request, context):
        with self._serving("AppendJobItems", context), self._cluster.lock:
            found = self._job(request.id)
            if found.shown().state not in LIVE:
                raise precondition("JOB_FINISHED", f"job {request.id} is finished")
            if not found.job.open:
                raise precondition("JOB_CLOSED", f"job {request.id} is closed")
            there = len(found.states)
            if request.first_position > there:
                raise QuorateError(grpc.StatusCode.OUT_OF_RANGE, "ITEMS_MISSING", "a gap")
            refuse_others(found.items, found.appenders, request)
            self._cluster.appended.append(len(request.items))
            self._add(found, request.items[there - request.first_position :])
            found.appenders += [request.appender] * (len(found.items) - len(found.appenders))
            return scheduler_pb2.AppendJobItemsResponse(count=len(found.states))

    def _add(self, found: FakeJob, items) -> None:
        for item in items:
            position = len(found.states)
            found.items.append(item)
            found.states.append(PENDING)
            self._cluster.run_later(self._run, found, position)

    def _run(self, found: FakeJob, position: int) -> None:
        cluster = self._cluster
        cluster.hold.wait()
        with cluster.lock:
            cluster.lock.wait_for(lambda: found.job.state != job_pb2.JOB_STATE_PAUSED)
            if found.states[position] != PENDING:
                return
            found.states[position] = RUNNING
            found.attempts[position] += 1
        state, value, error = SUCCEEDED, b"", None
        try:
            value = self._call(found, position)
        except Exception as failure:  # noqa: BLE001 - it is the subtask's outcome
            state = FAILED
            error = task_pb2.TaskError(type=type(failure).__qualname__, message=str(failure))
            error.pickle = pickle.dumps(failure)
            error.traceback = traceback.format_exc()
        with cluster.lock:
            found.states[position] = state
            if value:
                found.values[position] = value
            if error is not None:
                found.errors[position] = error
            cluster.lock.notify_all()

    def _call(self, found: FakeJob, position: int) -> bytes:
        template = found.job.spec.template
        item, index = found.items[position], found.index(position)
        if template.WhichOneof("work") == "command":
            texts = {"{}": str(index) if item is None else item.decode(), "{index}": str(index)}
            argv = []
            for word in template.command.argv:
                for mark, text in texts.items():
                    word = word.replace(mark, text)
                argv.append(word)
            subprocess.run(argv, check=True, capture_output=True)
            return b""
        python = template.python
        if python.WhichOneof("arguments") == "json":
            given = json.loads(python.json)
            value = load(python.entrypoint)(
                index if item is None else json.loads(item), *given["args"], **given["kwargs"]
            )
            return b"" if value is None else json.dumps(value).encode()
        *head, args, kwargs = pickle.loads(python.pickle)
        call = head[0] if head else load(python.entrypoint)
        value = call(index if item is None else pickle.loads(item), *args, **kwargs)
        return b"" if value is None else pickle.dumps(value)

    def CloseJob(self, request, context):
        def close(found: FakeJob) -> None:
            found.job.open = False

        return self._answer("CloseJob", context, request, scheduler_pb2.CloseJobResponse, close)

    def GetJob(self, request, context):
        response = scheduler_pb2.GetJobResponse
        return self._answer("GetJob", context, request, response, lambda found: None)

    def ListJobs(self, request, context):
        with self._serving("ListJobs", context), self._cluster.lock:
            start, size = int(request.page_token or 0), request.page_size or 100
            found = [
                one.shown()
                for _, one in sorted(self._cluster.jobs.items(), reverse=True)
                if request.queue in ("", one.job.queue)
                and (not request.states or one.shown().state in request.states)
                and request.text in f"{one.job.spec.template.name} {one.job.id}"
            ]
            token = str(start + size) if start + size < len(found) else ""
            return scheduler_pb2.ListJobsResponse(
                jobs=found[start : start + size], next_page_token=token
            )

    def WaitJob(self, request, context):
        with self._serving("WaitJob", context), self._cluster.lock:
            found = self._job(request.id)
            self._cluster.lock.wait_for(
                lambda: found.shown().state not in LIVE or self._server.stopped,
                request.timeout.ToMilliseconds() / 1000,
            )
            return scheduler_pb2.WaitJobResponse(job=found.shown())

    def CancelJob(self, request, context):
        def cancel(found: FakeJob) -> None:
            if found.shown().state == job_pb2.JOB_STATE_CANCELLED:
                return
            if found.job.state not in LIVE:
                raise precondition("JOB_FINISHED", f"job {request.id} is finished")
            found.job.cancel_requested, found.job.open = True, False
            found.job.state = job_pb2.JOB_STATE_ACTIVE
            found.states = [CANCELLED if one == PENDING else one for one in found.states]

        return self._answer("CancelJob", context, request, scheduler_pb2.CancelJobResponse, cancel)

    def PauseJob(self, request, context):
        def pause(found: FakeJob) -> None:
            found.job.state = job_pb2.JOB_STATE_PAUSED

        return self._answer("PauseJob", context, request, scheduler_pb2.PauseJobResponse, pause)

    def ResumeJob(self, request, context):
        def resume(found: FakeJob) -> None:
            found.job.state = job_pb2.JOB_STATE_ACTIVE

        return self._answer("ResumeJob", context, request, scheduler_pb2.ResumeJobResponse, resume)

    def UpdateJob(self, request, context):
        def update(found: FakeJob) -> None:
            if found.shown().state not in LIVE:
                raise precondition("JOB_FINISHED", f"job {request.job.id} is finished")
            request.update_mask.MergeMessage(request.job, found.job, True, True)

        named = scheduler_pb2.PauseJobRequest(id=request.job.id, request_id=request.request_id)
        return self._answer("UpdateJob", context, named, scheduler_pb2.UpdateJobResponse, update)

    def RetryJob(self, request, context):
        def retry(found: FakeJob) -> None:
            if found.shown().state in LIVE:
                raise precondition("JOB_NOT_FINISHED", f"job {request.id} is not finished")
            again = [at for at, one in enumerate(found.states) if one in (FAILED, CANCELLED)]
            if not again:
                raise precondition("NOTHING_TO_RETRY", f"nothing of job {request.id} failed")
            found.job.state, found.job.round = job_pb2.JOB_STATE_ACTIVE, found.job.round + 1
            found.job.ClearField("finish_time")
            found.job.cancel_requested = False
            for position in again:
                found.states[position] = PENDING
                found.errors.pop(position, None)
                self._cluster.run_later(self._run, found, position)

        return self._answer("RetryJob", context, request, scheduler_pb2.RetryJobResponse, retry)

    def DeleteJob(self, request, context):
        with self._serving("DeleteJob", context), self._cluster.lock:
            if self._job(request.id).shown().state in LIVE:
                raise precondition("JOB_NOT_FINISHED", f"job {request.id} is not finished")
            del self._cluster.jobs[request.id]
            return scheduler_pb2.DeleteJobResponse()

    def ListJobErrors(self, request, context):
        with self._serving("ListJobErrors", context), self._cluster.lock:
            found = self._job(request.id)
            groups: dict[str, job_pb2.JobErrorGroup] = {}
            for position, error in sorted(found.errors.items()):
                index = found.index(position)
                group = groups.setdefault(
                    error.type,
                    job_pb2.JobErrorGroup(
                        type=error.type,
                        message=error.message,
                        first_index=index,
                        example=error,
                        example_index=index,
                    ),
                )
                group.count, group.last_index = group.count + 1, index
            ordered = sorted(groups.values(), key=lambda one: -one.count)
            return scheduler_pb2.ListJobErrorsResponse(groups=ordered)

    def ListSubtasks(self, request, context):
        with self._serving("ListSubtasks", context), self._cluster.lock:
            found = self._job(request.id)
            answer = scheduler_pb2.ListSubtasksResponse()
            start, size = int(request.page_token or 0), request.page_size or 100
            if not 1 <= size <= 1000:
                raise invalid("page_size", "must be 1 to 1,000")
            wanted = [
                (position, state)
                for position, state in enumerate(found.states)
                if not request.states or state in request.states
            ]
            if request.details:
                for position, state in wanted[start : start + size]:
                    answer.subtasks.add(
                        id=f"{request.id}.{found.index(position)}",
                        index=found.index(position),
                        state=state,
                        attempt=found.attempts[position],
                        error=found.errors.get(position),
                    )
                if start + size < len(wanted):
                    answer.next_page_token = str(start + size)
            else:
                for state, group in itertools.groupby(wanted, lambda pair: pair[1]):
                    neighbours = [found.index(position) for position, _ in group]
                    answer.ranges.add(
                        state=state,
                        first_index=neighbours[0],
                        last_index=neighbours[-1],
                        count=len(neighbours),
                    )
            return answer

    def ReadJobResults(self, request, context):
        with self._serving("ReadJobResults", context):
            found = self._job(request.id)
            cluster, position = self._cluster, request.first_position
            last = position + request.count if request.count else 10**9
            kind = job_pb2.ResultRun.KIND_PICKLE
            if found.job.spec.template.python.WhichOneof("arguments") == "json":
                kind = job_pb2.ResultRun.KIND_JSON
            answers = 0
            while context.is_active():
                answer = scheduler_pb2.ReadJobResultsResponse()
                with cluster.lock:
                    if request.follow and not found.is_readable(position):
                        cluster.lock.wait(0.05)
                    for at in range(position, min(position + PAGE, last, len(found.states))):
                        state = found.states[at]
                        if request.follow and state not in FINAL:
                            break
                        if state != SUCCEEDED:
                            index = found.index(at)
                            answer.others.add(
                                state=state, first_index=index, last_index=index, count=1
                            )
                        elif at in found.values:
                            answer.runs.add(first=at, kind=kind, values=[found.values[at]])
                        position = at + 1
                    answer.next_position = position
                    over = position >= min(last, len(found.states)) and (
                        not request.follow or found.shown().state not in LIVE
                    )
                if answer.next_position > request.first_position:
                    yield answer
                    answers += 1
                if over:
                    return
                if cluster.stop_after and answers >= cluster.stop_after:
                    code = grpc.StatusCode.UNAVAILABLE
                    raise QuorateError(code, "SHUTTING_DOWN", "ordered by the test")
                time.sleep(0.001)
