"""Requests about a job that `JobHandle` and `AsyncJobHandle` share. Pure but for request ids."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from quorate.client.jobs.states import job_state_of, subtask_state_of
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.job_updates import JobUpdateArgs, job_update_of
from quorate.client.work.texts import text_of
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb

# Seconds between two looks at a job whose waiter wants to know how far it is.
NOTIFY_SECONDS: Final = 0.25
_DETAILS: Final = 100


def get(job_id: str) -> pb.GetJobRequest:
    """Reads it."""
    return pb.GetJobRequest(id=job_id)


def wait(job_id: str, seconds: float) -> pb.WaitJobRequest:
    """Waits for it, at most `seconds`."""
    request = pb.WaitJobRequest(id=job_id)
    request.timeout.FromNanoseconds(int(seconds * 1e9))
    return request


def jobs(queue: str, states: Sequence[str], text: str, page_size: int) -> pb.ListJobsRequest:
    """Lists jobs; raises QuorateError (INVALID_ARGUMENT) for a state that there is not."""
    return pb.ListJobsRequest(
        queue=text_of("queue", queue),
        states=[job_state_of(name) for name in states],
        text=text_of("text", text),
        page_size=page_size,
    )


def errors(job_id: str) -> pb.ListJobErrorsRequest:
    """Groups its failures."""
    return pb.ListJobErrorsRequest(id=job_id)


def subtasks(
    job_id: str, states: Sequence[str], *, details: bool, page_size: int
) -> pb.ListSubtasksRequest:
    """Lists its subtasks."""
    wanted = [subtask_state_of(name) for name in states]
    return pb.ListSubtasksRequest(id=job_id, states=wanted, details=details, page_size=page_size)


def close(job_id: str) -> pb.CloseJobRequest:
    """Says that no more items follow."""
    return pb.CloseJobRequest(id=job_id, request_id=new_request_id())


def pause(job_id: str) -> pb.PauseJobRequest:
    """Pauses it."""
    return pb.PauseJobRequest(id=job_id, request_id=new_request_id())


def resume(job_id: str) -> pb.ResumeJobRequest:
    """Resumes it."""
    return pb.ResumeJobRequest(id=job_id, request_id=new_request_id())


def retry(job_id: str) -> pb.RetryJobRequest:
    """Retries what failed."""
    return pb.RetryJobRequest(id=job_id, request_id=new_request_id())


def update(job_id: str, changes: JobUpdateArgs) -> pb.UpdateJobRequest:
    """Changes it. Raises QuorateError (INVALID_ARGUMENT)."""
    return pb.UpdateJobRequest(**job_update_of(job_id, changes), request_id=new_request_id())


def delete(job_id: str) -> pb.DeleteJobRequest:
    """Deletes it."""
    return pb.DeleteJobRequest(id=job_id, request_id=new_request_id())


class InOrder:
    """Details of failed subtasks, read page by page behind a reader that goes by index.

    Holds one page. Subtasks may fail meanwhile, also between two that are in it: the page is read
    again for one that is not. Owned by one reader.
    """

    def __init__(self) -> None:
        self._page: deque[job_pb2.Subtask] = deque()
        # Of the page that was read last, and of the one behind it; empty: there is none.
        self._token = ""
        self._next = ""
        self._asked = -1

    def wanted(self, job_id: str, index: int) -> pb.ListSubtasksRequest | None:
        """The request to make before `found(index)`; None when there is none."""
        while self._page and self._page[0].index < index:
            self._page.popleft()
        if self._page and self._page[0].index == index:
            return None
        if not self._page and self._next:
            self._token = self._next
        elif self._asked == index:
            return None
        self._asked = index
        request = subtasks(job_id, ("failed",), details=True, page_size=_DETAILS)
        request.page_token = self._token
        return request

    def take(self, answer: pb.ListSubtasksResponse) -> None:
        """Its answer."""
        self._page = deque(answer.subtasks)
        self._next = answer.next_page_token

    def found(self, index: int) -> job_pb2.Subtask | None:
        """The details of the subtask with this index, where they are known."""
        if self._page and self._page[0].index == index:
            return self._page.popleft()
        return None
