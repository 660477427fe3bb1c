"""Drives a `MapPlan` from a synchronous program."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import grpc

from quorate.client.mapping.bulk import give_up
from quorate.client.mapping.plan import Chunk, MapPlan
from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.tracker import Tracker
from quorate.client.tracking.waiting import take
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import BATCH_CREATE_TASKS, HELD_BACK, new_request_id
from quorate.client.unplaceable import warn_unplaceable
from quorate.client.work.specs import check_batch
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

# What may be spent on cancelling the rest of a map that was given up.
CANCEL_SECONDS = 5.0


def create_batch(
    calls: Calls, name: str, specs: Sequence[task_pb2.TaskSpec], request_id: str = ""
) -> Sequence[str]:
    """Create many tasks of a queue; waits (up to `retry_for`) while the cluster is at a bound.

    Raises PayloadTooLarge or QuorateError, before anything is sent for what no batch may hold.
    """
    answer = send_batch(calls, batch_of(name, specs, request_id))
    warn_unplaceable(answer.warnings)
    return answer.ids


def batch_of(
    name: str, specs: Sequence[task_pb2.TaskSpec], request_id: str = ""
) -> pb.BatchCreateTasksRequest:
    """The request, which may be made again; raises PayloadTooLarge or QuorateError."""
    request = pb.BatchCreateTasksRequest(
        queue=name, specs=specs, request_id=request_id or new_request_id()
    )
    check_batch(request)
    return request


def send_batch(calls: Calls, request: pb.BatchCreateTasksRequest) -> pb.BatchCreateTasksResponse:
    """As `create_batch`, without a warning: for whom has to note the ids first."""
    end = time.monotonic() + calls.retry_for
    while True:
        try:
            return calls.call(BATCH_CREATE_TASKS, request)
        except QuorateError as error:
            full = error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            if not full or time.monotonic() >= end:
                raise
        # Nothing was done: the same request may be made again, once there is room.
        time.sleep(HELD_BACK)


def run_map(calls: Calls, tracker: Tracker, plan: MapPlan, timeout: float | None) -> Iterator[Any]:
    """Values of a map as they can be handed out.

    Submitting goes on while the caller takes values. When the caller stops early, or an item
    failed, what has not finished is cancelled, as with `concurrent.futures`.
    """
    end = None if timeout is None else time.monotonic() + timeout
    arrived: queue.SimpleQueue[tuple[Chunk, Outcome]] = queue.SimpleQueue()
    try:
        while plan.is_under_way():
            _submit(calls, tracker, plan, arrived)
            yield from plan.values()
            if not plan.is_under_way():
                return
            wait = None if end is None else max(0.0, end - time.monotonic())
            try:
                plan.on_outcome(*take(arrived, wait))
                while True:
                    plan.on_outcome(*arrived.get_nowait())
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError(f"the map did not finish within {timeout:g} s") from None
            yield from plan.values()
    finally:
        give_up(calls, plan.open_tasks(), seconds=CANCEL_SECONDS)


def _submit(
    calls: Calls,
    tracker: Tracker,
    plan: MapPlan,
    arrived: queue.SimpleQueue[tuple[Chunk, Outcome]],
) -> None:
    batch = plan.batch()
    if not batch:
        return
    for _, spec in batch:
        calls.large.fit(spec, plan.limit)
    request = batch_of(plan.options.queue, [spec for _, spec in batch])
    sinks = [partial(_arrive, arrived, chunk) for chunk, _ in batch]
    reasons: list[str] = []

    def create() -> Sequence[str]:
        answer = send_batch(calls, request)
        reasons.extend(answer.warnings)
        return answer.ids

    try:
        ids = tracker.submit(create, sinks)
    except KeyboardInterrupt:
        # It may have been created: the same request says under which ids, and they are cancelled
        # with the rest.
        for (chunk, _), task_id in zip(batch, create(), strict=True):
            chunk.task_id = task_id
        raise
    for (chunk, _), task_id in zip(batch, ids, strict=True):
        chunk.task_id = task_id
    warn_unplaceable(reasons)


def _arrive(
    arrived: queue.SimpleQueue[tuple[Chunk, Outcome]], chunk: Chunk, outcome: Outcome
) -> None:
    arrived.put((chunk, outcome))
