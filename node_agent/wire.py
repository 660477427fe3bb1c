"""Between protobuf messages and the core's values: the only place of the agent that knows both.

Reading never raises: a spec that cannot be understood becomes `Unreadable` work, which fails its
attempt instead of the session.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from node_agent.core.attempts import Attempt, Failure, Outcome, Ref, Result
from node_agent.core.outbox import Report
from node_agent.work import Call, Command, Unreadable, Work
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import queue_pb2, task_pb2

_STOP = queue_pb2.DISCONNECT_POLICY_STOP


def attempt_of(assignment: pb.Assignment) -> Attempt:
    """The attempt that an assignment asks for."""
    task_id, number = assignment.task_id, assignment.attempt
    stop = assignment.disconnect == _STOP
    try:
        spec = task_pb2.TaskSpec.FromString(assignment.spec)
    except DecodeError:
        work = Unreadable("the task's spec is not readable")
        return Attempt(task_id, number, work, stop_on_disconnect=stop)
    timeout = 0.0
    if spec.HasField("timeout"):
        timeout = spec.timeout.seconds + spec.timeout.nanos / 1e9
    kind = spec.WhichOneof("work")
    if kind == "python":
        call = _call(spec.python)
        profile = call.entrypoint or spec.name or "pickled"
        return Attempt(task_id, number, call, profile, True, timeout, stop)
    if kind == "command":
        command = spec.command
        work_: Work = Command(tuple(command.argv), dict(command.env), command.cwd, command.stdin)
        if not command.argv or not command.argv[0]:
            work_ = Unreadable("the command has no program")
        # A program's name is no entrypoint: the prefix keeps the profiles apart.
        profile = f"$ {command.argv[0]}" if command.argv else ""
        return Attempt(task_id, number, work_, profile, False, timeout, stop)
    work = Unreadable("this agent knows no such kind of work")
    return Attempt(task_id, number, work, stop_on_disconnect=stop)


def _call(python: task_pb2.PythonWork) -> Call:
    match python.WhichOneof("arguments"):
        case "json":
            return Call(python.entrypoint, "json", python.json)
        case "pickle":
            return Call(python.entrypoint, "pickle", python.pickle)
        case _:
            return Call(python.entrypoint, "", "")


def ref_of(message: pb.AttemptRef) -> Ref:
    """The name of an attempt."""
    return Ref(message.task_id, message.attempt)


def set_time(message: Timestamp, seconds: float) -> None:
    """Write seconds since the epoch into a timestamp field."""
    whole = int(seconds)
    message.seconds = whole
    message.nanos = int((seconds - whole) * 1e9)


def put_finished(response: pb.SessionResponse, report: Report, now: float) -> None:
    """Add a report to a message. `now` (wall time) is when an attempt that never began ended."""
    outcome = report.outcome
    message = response.finished.add()
    message.task_id = report.task_id
    message.attempt = report.number
    if outcome.start:
        set_time(message.start_time, outcome.start)
        now = outcome.start + outcome.seconds
    set_time(message.finish_time, now)
    put_outcome(message, outcome)


def put_outcome(message: pb.AttemptFinished, outcome: Outcome) -> None:
    """Write how an attempt ended."""
    match outcome.value:
        case Result(kind="json", value=str(text)):
            message.result.json = text
        case Result(kind="pickle", value=bytes(data)):
            message.result.pickle = data
        case Result():
            message.result.exit_code = 0
        case Failure() as failure:
            error = message.error
            error.type = failure.type
            error.message = failure.message
            error.traceback = failure.traceback
            error.code = failure.code
            error.pickle = failure.pickle
        case None:
            message.handed_back = True
