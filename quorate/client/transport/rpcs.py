"""The Scheduler's methods as typed values, and how patient the SDK is with each.

Every method is safe to repeat: reads by nature, mutations by their `request_id`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import grpc
import tenacity

from quorate.client.transport.contact import explained, is_hopeless, is_refused
from quorate.client.transport.policy import Failure, Pauses, failure_of
from quorate.runtime.errors import QuorateError, from_rpc_error
from quorate.v1 import limit_pb2, pause_pb2
from quorate.v1 import schedule_pb2 as schedules
from quorate.v1 import scheduler_pb2 as pb

# Seconds. An answer comes in milliseconds; this is when to believe that the process is frozen.
DEADLINE = 5.0
BATCH_DEADLINE = 10.0
# A long poll is renewed this often, so that a frozen scheduler is left within as much again.
POLL = 5.0
DEFAULT_RETRY_FOR = 60.0
# Between tries while the cluster says that a bound is reached.
HELD_BACK = 0.1
# Between looks at a task whose first attempt did not begin yet, or whose node is gone.
LOG_LOOK = 0.2
# A log stream is opened again after so long.
LOG_DEADLINE = 3600.0


class Message(Protocol):
    """What the transport needs of a protobuf message."""

    def SerializeToString(self) -> bytes: ...


Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Req, Res]):
    """One method: its name, its messages, the deadline of one try in seconds, and its service."""

    name: str
    request: type[Req]
    response: type[Res]
    deadline: float = DEADLINE
    service: str = "Scheduler"

    @property
    def path(self) -> str:
        """The method as gRPC names it."""
        return f"/quorate.v1.{self.service}/{self.name}"

    def parse(self, data: bytes) -> Res:
        """Read an answer."""
        parsed: Res = self.response.FromString(data)  # type: ignore[attr-defined]
        return parsed


CREATE_TASK = Rpc("CreateTask", pb.CreateTaskRequest, pb.CreateTaskResponse)
BATCH_CREATE_TASKS = Rpc(
    "BatchCreateTasks", pb.BatchCreateTasksRequest, pb.BatchCreateTasksResponse, BATCH_DEADLINE
)
GET_TASK = Rpc("GetTask", pb.GetTaskRequest, pb.GetTaskResponse)
LIST_TASKS = Rpc("ListTasks", pb.ListTasksRequest, pb.ListTasksResponse)
WAIT_TASK = Rpc("WaitTask", pb.WaitTaskRequest, pb.WaitTaskResponse, POLL + 2.0)
WATCH_TASKS = Rpc("WatchTasks", pb.WatchTasksRequest, pb.WatchTasksResponse)
CANCEL_TASK = Rpc("CancelTask", pb.CancelTaskRequest, pb.CancelTaskResponse)
CANCEL_TASKS = Rpc("CancelTasks", pb.CancelTasksRequest, pb.CancelTasksResponse, BATCH_DEADLINE)
RETRY_TASK = Rpc("RetryTask", pb.RetryTaskRequest, pb.RetryTaskResponse)
RETRY_TASKS = Rpc("RetryTasks", pb.RetryTasksRequest, pb.RetryTasksResponse, BATCH_DEADLINE)
PAUSE_TASK = Rpc("PauseTask", pb.PauseTaskRequest, pb.PauseTaskResponse)
RESUME_TASK = Rpc("ResumeTask", pb.ResumeTaskRequest, pb.ResumeTaskResponse)
SEND_SIGNAL = Rpc("SendSignal", pb.SendSignalRequest, pb.SendSignalResponse)
UPDATE_TASK = Rpc("UpdateTask", pb.UpdateTaskRequest, pb.UpdateTaskResponse)
UPDATE_TASKS = Rpc("UpdateTasks", pb.UpdateTasksRequest, pb.UpdateTasksResponse, BATCH_DEADLINE)
DELETE_TASKS = Rpc("DeleteTasks", pb.DeleteTasksRequest, pb.DeleteTasksResponse, BATCH_DEADLINE)
DELETE_TASK = Rpc("DeleteTask", pb.DeleteTaskRequest, pb.DeleteTaskResponse)
EXPLAIN_TASK = Rpc("ExplainTask", pb.ExplainTaskRequest, pb.ExplainTaskResponse)
LIST_DEAD_LETTERS = Rpc("ListDeadLetters", pb.ListDeadLettersRequest, pb.ListDeadLettersResponse)
STREAM_TASK_LOGS = Rpc("StreamTaskLogs", pb.StreamTaskLogsRequest, pb.StreamTaskLogsResponse)
SEARCH_TASK_LOGS = Rpc("SearchTaskLogs", pb.SearchTaskLogsRequest, pb.SearchTaskLogsResponse)
CREATE_QUEUE = Rpc("CreateQueue", pb.CreateQueueRequest, pb.CreateQueueResponse)
LIST_QUEUES = Rpc("ListQueues", pb.ListQueuesRequest, pb.ListQueuesResponse)
UPDATE_QUEUE = Rpc("UpdateQueue", pb.UpdateQueueRequest, pb.UpdateQueueResponse)
SET_MESSAGE_TEMPLATE = Rpc(
    "SetMessageTemplate", pb.SetMessageTemplateRequest, pb.SetMessageTemplateResponse
)
GET_MESSAGE_TEMPLATE = Rpc(
    "GetMessageTemplate", pb.GetMessageTemplateRequest, pb.GetMessageTemplateResponse
)
DELETE_QUEUE = Rpc("DeleteQueue", pb.DeleteQueueRequest, pb.DeleteQueueResponse)
PAUSE_QUEUE = Rpc("PauseQueue", pb.PauseQueueRequest, pb.PauseQueueResponse)
RESUME_QUEUE = Rpc("ResumeQueue", pb.ResumeQueueRequest, pb.ResumeQueueResponse)
LIST_NODES = Rpc("ListNodes", pb.ListNodesRequest, pb.ListNodesResponse)
GET_NODE = Rpc("GetNode", pb.GetNodeRequest, pb.GetNodeResponse)
CORDON_NODE = Rpc("CordonNode", pb.CordonNodeRequest, pb.CordonNodeResponse)
UNCORDON_NODE = Rpc("UncordonNode", pb.UncordonNodeRequest, pb.UncordonNodeResponse)
DRAIN_NODE = Rpc("DrainNode", pb.DrainNodeRequest, pb.DrainNodeResponse)
DISMISS_NODE = Rpc("DismissNode", pb.DismissNodeRequest, pb.DismissNodeResponse)
TAINT_NODE = Rpc("TaintNode", pb.TaintNodeRequest, pb.TaintNodeResponse)
UNTAINT_NODE = Rpc("UntaintNode", pb.UntaintNodeRequest, pb.UntaintNodeResponse)
GET_CLUSTER = Rpc("GetCluster", pb.GetClusterRequest, pb.GetClusterResponse)
LIST_AUDIT_ENTRIES = Rpc(
    "ListAuditEntries", pb.ListAuditEntriesRequest, pb.ListAuditEntriesResponse
)

LIST_QUOTAS = Rpc("ListQuotas", pb.ListQuotasRequest, pb.ListQuotasResponse)
CREATE_SCHEDULE = Rpc(
    "CreateSchedule", schedules.CreateScheduleRequest, schedules.CreateScheduleResponse
)
GET_SCHEDULE = Rpc("GetSchedule", schedules.GetScheduleRequest, schedules.GetScheduleResponse)
LIST_SCHEDULES = Rpc(
    "ListSchedules", schedules.ListSchedulesRequest, schedules.ListSchedulesResponse
)
UPDATE_SCHEDULE = Rpc(
    "UpdateSchedule", schedules.UpdateScheduleRequest, schedules.UpdateScheduleResponse
)
DELETE_SCHEDULE = Rpc(
    "DeleteSchedule", schedules.DeleteScheduleRequest, schedules.DeleteScheduleResponse
)
PAUSE_SCHEDULE = Rpc(
    "PauseSchedule", schedules.PauseScheduleRequest, schedules.PauseScheduleResponse
)
RESUME_SCHEDULE = Rpc(
    "ResumeSchedule", schedules.ResumeScheduleRequest, schedules.ResumeScheduleResponse
)
PREVIEW_BACKFILL = Rpc(
    "PreviewBackfill", schedules.PreviewBackfillRequest, schedules.PreviewBackfillResponse
)
RUN_SCHEDULE = Rpc("RunSchedule", schedules.RunScheduleRequest, schedules.RunScheduleResponse)
SET_QUOTA = Rpc("SetQuota", pb.SetQuotaRequest, pb.SetQuotaResponse)

CREATE_LIMIT = Rpc("CreateLimit", limit_pb2.CreateLimitRequest, limit_pb2.CreateLimitResponse)
GET_LIMIT = Rpc("GetLimit", limit_pb2.GetLimitRequest, limit_pb2.GetLimitResponse)
CREATE_PAUSE = Rpc("CreatePause", pause_pb2.CreatePauseRequest, pause_pb2.CreatePauseResponse)
LIST_PAUSES = Rpc("ListPauses", pause_pb2.ListPausesRequest, pause_pb2.ListPausesResponse)
DELETE_PAUSE = Rpc("DeletePause", pause_pb2.DeletePauseRequest, pause_pb2.DeletePauseResponse)
LIST_LIMITS = Rpc("ListLimits", limit_pb2.ListLimitsRequest, limit_pb2.ListLimitsResponse)
UPDATE_LIMIT = Rpc("UpdateLimit", limit_pb2.UpdateLimitRequest, limit_pb2.UpdateLimitResponse)
DELETE_LIMIT = Rpc("DeleteLimit", limit_pb2.DeleteLimitRequest, limit_pb2.DeleteLimitResponse)


def new_request_id() -> str:
    """A fresh id that makes a mutation safe to repeat."""
    return secrets.token_hex(16)


class TryAgain(Exception):
    """The outcome of a try is unknown; `error` is what was seen.

    `shed`: the server took in too many calls at once and dropped this one. It is well, and to be
    asked again a little later.
    """

    def __init__(self, error: QuorateError, *, shed: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        # Which scheduler it is about, as far as that is known.
        self.address = ""
        self.shed = shed

    @property
    def busy(self) -> bool:
        """Whether the scheduler is well, and this call was too much: another one is no better."""
        return self.shed or self.error.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def judge(error: grpc.RpcError) -> TryAgain | QuorateError:
    """What to raise for a failed try: TryAgain when another try may do better."""
    typed = from_rpc_error(error)
    failure = failure_of(error, typed)
    if failure is Failure.SHED:
        busy = "the scheduler has more calls waiting than it takes in"
        return TryAgain(
            QuorateError(grpc.StatusCode.UNAVAILABLE, "TOO_MANY_CALLS", busy), shed=True
        )
    return typed if failure is Failure.FINAL else TryAgain(typed)


def waits(addresses: int) -> tenacity.wait.WaitBaseT:
    """Pauses between the tries of one call; see `policy.Pauses`."""
    pauses = Pauses(addresses)

    def wait(state: tenacity.RetryCallState) -> float:
        failed = state.outcome.exception() if state.outcome is not None else None
        return pauses.next(busy=isinstance(failed, TryAgain) and failed.busy)

    return wait


def stops(addresses: int, seconds: float, connect_for: float) -> tenacity.stop.StopBaseT:
    """When to give up: after `seconds`, or once all were asked and repeating is in vain.

    A certificate that is not accepted, or a server that is no scheduler, is a matter of settings:
    it does not pass by itself, as a failover does. `connect_for`: seconds in which refusals only
    are put up with; `seconds` or more for no difference.
    """
    late = tenacity.stop_after_delay(seconds)
    refused = tenacity.stop_after_delay(min(seconds, connect_for))

    def stop(state: tenacity.RetryCallState) -> bool:
        failed = state.outcome.exception() if state.outcome is not None else None
        if late(state):
            return True
        if state.attempt_number < addresses:
            return False
        return is_hopeless(failed) or (is_refused(failed) and refused(state))

    return stop


def exhausted_error(
    last: QuorateError, addresses: Sequence[str], seconds: float, why: str, address: str
) -> QuorateError:
    """The sentence for a caller whose patience ended.

    Args:
        seconds: how long it was tried.
        why: what is known about TLS, if that is the reason.
        address: the last one that was asked, of which `last` is the answer.
    """
    if last.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return last
    if why:
        return QuorateError(last.code, "TLS_FAILED", why, metadata=last.metadata)
    known = explained(last, address)
    if known.reason == "NOT_A_SCHEDULER":
        return known
    return QuorateError(
        last.code,
        last.reason,
        f"no scheduler at {', '.join(addresses)} answered within {seconds:.2g} s "
        f"(last: {known.message})",
        metadata=last.metadata,
    )
