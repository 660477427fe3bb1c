"""Creates arrays, and appends what one request does not hold.

Items of more than one request go into an open array, part by part: memory is bounded by two parts,
and the first subtasks run while later items are still read. A repeat of a part is recognised by
its first position. When reading the items fails half-way, the job is cancelled. When the job ends
early meanwhile, such as by `max_failures`, the rest of the items is not read.

Several programs may append to one open array: each names itself (`appender`), and where another one
was faster, the items go behind those of the other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import grpc

from quorate.client.jobs.parts import Part, parts_of
from quorate.client.jobs.specs import ArraySpec
from quorate.client.transport.calls import Calls
from quorate.client.transport.job_rpcs import (
    APPEND_JOB_ITEMS,
    CANCEL_JOB,
    CLOSE_JOB,
    CREATE_JOB,
    GET_JOB,
)
from quorate.client.transport.rpcs import HELD_BACK, Req, Res, Rpc, new_request_id
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb

# What may be spent on cancelling an array whose items could not be read.
CANCEL_SECONDS = 5.0

# Others are at these positions.
ITEMS_DIFFER = "JOB_ITEMS_DIFFER"

R = TypeVar("R")


def first_request(
    array: ArraySpec, queue: str, request_id: str
) -> tuple[pb.CreateJobRequest, Iterator[Part]]:
    """The call that creates the job, and the parts that follow it.

    Raises QuorateError for an item of the first part that cannot be sent.
    """
    rest: Iterator[Part] = iter(())
    if array.items is not None:
        rest = parts_of(array.items, array.encode)
        first = next(rest)
        array.spec.items.extend(first.items)
        if not first.last:
            array.spec.open = True
    request = pb.CreateJobRequest(
        queue=queue, spec=array.spec, request_id=request_id or new_request_id()
    )
    return request, rest


def create(calls: Calls, array: ArraySpec, queue: str, request_id: str) -> job_pb2.Job:
    """Create the array with all its items; the job as it then is. Raises QuorateError."""
    stays_open = array.spec.open
    request, rest = first_request(array, queue, request_id)
    job = call_with_room(calls, CREATE_JOB, request).job
    if not job.open:
        # All items are there; also those of a repeat whose first call has sent them.
        return job
    try:
        for part in rest:
            if part.items:
                job.count = append_part(calls, job.id, part, repeated=bool(request_id))
        if not stays_open:
            close = pb.CloseJobRequest(id=job.id, request_id=new_request_id())
            job = calls.call(CLOSE_JOB, close).job
    except BaseException as error:
        if is_over(error, repeated=bool(request_id)):
            return calls.call(GET_JOB, pb.GetJobRequest(id=job.id)).job
        with contextlib.suppress(QuorateError):
            calls.call(CANCEL_JOB, cancel_request(job.id), retry_for=CANCEL_SECONDS)
        raise
    return job


def append(
    calls: Calls,
    job_id: str,
    items: Iterable[Any],
    encode: Callable[[Any, int], bytes],
    first: int,
    appender: str,
) -> int:
    """Append items behind the `first` ones that are there; how many there are then.

    Args:
        appender: unique to this caller; items go behind those that others append meanwhile. Empty:
            they go where `first` says, and JOB_ITEMS_DIFFER is raised when others are there.
    """
    count = first
    for part in parts_of(items, encode, first):
        if part.items:
            at = count if appender else part.first
            count = append_part(calls, job_id, replace(part, first=at), appender)
    return count


def append_part(
    calls: Calls, job_id: str, part: Part, appender: str = "", *, repeated: bool = False
) -> int:
    """Append the items of one request; how many the job has then.

    Args:
        repeated: another process may have sent the same items in other bytes.
    """
    asked = append_request(job_id, part, appender)
    while True:
        try:
            return call_with_room(calls, APPEND_JOB_ITEMS, asked).count
        except QuorateError as error:
            if not go_on(asked, error, repeated=repeated):
                raise
        if not asked.items:
            return asked.first_position


def append_request(job_id: str, part: Part, appender: str = "") -> pb.AppendJobItemsRequest:
    """The call that appends a part; its repeat is recognised by the first position."""
    return pb.AppendJobItemsRequest(
        id=job_id, first_position=part.first, items=part.items, appender=appender
    )


def go_on(asked: pb.AppendJobItemsRequest, error: QuorateError, *, repeated: bool) -> bool:
    """Whether to append the rest where there is room; `asked` is then the call for it.

    Each time another program has appended something, so this ends.
    """
    if error.reason != ITEMS_DIFFER or not (asked.appender or repeated):
        return False
    count = int(error.metadata["count"])
    known = count - asked.first_position if repeated else int(error.metadata["known"])
    del asked.items[:known]
    asked.first_position = count
    return True


def cancel_request(job_id: str) -> pb.CancelJobRequest:
    """The call that cancels a job."""
    return pb.CancelJobRequest(id=job_id, request_id=new_request_id())


def is_over(error: BaseException, *, repeated: bool) -> bool:
    """Whether the job takes no more items, and that is no mistake.

    It has ended early, such as by `max_failures`; or another call with the same request id
    (`repeated`) has sent all items.
    """
    return isinstance(error, QuorateError) and (
        error.reason == "JOB_FINISHED" or (repeated and error.reason == "JOB_CLOSED")
    )


def is_full(error: QuorateError) -> bool:
    """Whether the cluster is at a bound: nothing was done, and there may be room in a moment."""
    return error.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def call_with_room(calls: Calls, rpc: Rpc[Req, Res], request: Req) -> Res:
    """As `Calls.call`; waits (up to `retry_for`) while the cluster is at a bound."""
    end = time.monotonic() + calls.retry_for
    while True:
        try:
            return calls.call(rpc, request)
        except QuorateError as error:
            if not is_full(error) or time.monotonic() >= end:
                raise
        time.sleep(HELD_BACK)
