"""Between protobuf messages and the core's values: the only place of the agent that knows both.

Reading never raises: a spec that cannot be understood becomes `Unreadable` work, which fails its
attempt instead of the session.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from node_agent.core.attempts import Attempt, Failure, Outcome, Ref, Result
from node_agent.core.hooks import Hook, HookEnd, Hooks
from node_agent.core.outbox import Report
from node_agent.core.services.health import HealthTerms
from node_agent.session import from_message
from node_agent.task.secrets import Reference
from node_agent.task.work import Call, Check, Command, Replica, Unreadable
from quorate.blobs.names import Blob, blob_of
from quorate.telemetry.spans import task_name
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import queue_pb2, task_pb2

# Seconds a replica has to finish its requests when its spec does not say.
REPLICA_DRAIN_GRACE = 10.0
# Seconds of a hook whose spec does not say.
HOOK_TIMEOUT = 60.0
_HOOK_PROGRAM = "node_agent.worker.hooks"
# Of an HTTP request: nothing that could end the request line, or begin another request.
_PATH = re.compile(r"/[!-~]{0,2047}")

# The nominal instant for which a schedule made the task.
SCHEDULED_TIME = "QUORATE_SCHEDULED_TIME"

_SIGNALS = {
    number: name.removeprefix("TASK_SIGNAL_") for name, number in task_pb2.TaskSignal.items()
}
_NO_ENV: Mapping[str, str] = {}
_NO_SECRETS: Mapping[str, Reference] = {}

_STOP = queue_pb2.DISCONNECT_POLICY_STOP
# Looked up once: it is found through the class's metaclass.
_read_spec = task_pb2.TaskSpec.FromString


def attempt_of(assignment: pb.Assignment) -> Attempt:
    """The attempt that an assignment asks for."""
    try:
        spec = _read_spec(assignment.spec)
    except DecodeError:
        spec = None
    return attempt_of_spec(assignment, spec)


def attempt_of_spec(assignment: pb.Assignment, spec: task_pb2.TaskSpec | None) -> Attempt:
    """The attempt that an assignment asks for by a spec; None: one that cannot be read."""
    attempt = _attempt_of(assignment, spec)
    if spec is not None and spec.trace_context:
        attempt.trace = spec.trace_context
        attempt.traced = assignment.queue, task_name(spec)
    return attempt


def _environment(spec: task_pb2.TaskSpec) -> Mapping[str, str]:
    """What the spec itself adds to the environment of its work."""
    if spec.HasField("message"):
        return from_message.environment(spec.message)
    if not spec.HasField("schedule"):
        return _NO_ENV
    return {SCHEDULED_TIME: spec.schedule.tick_time.ToJsonString()}


def _attempt_of(assignment: pb.Assignment, spec: task_pb2.TaskSpec | None) -> Attempt:
    task_id, number = assignment.task_id, assignment.attempt
    stop = assignment.disconnect == _STOP
    if spec is None:
        work = Unreadable("the task's spec is not readable")
        return Attempt(task_id, number, work, stop_on_disconnect=stop)
    timeout = 0.0
    if spec.HasField("timeout"):
        timeout = spec.timeout.seconds + spec.timeout.nanos / 1e9
    kind = spec.WhichOneof("work")
    if spec.HasField("hooks") and kind in ("python", "command"):
        return _attempt_with_hooks(assignment, spec, timeout, stop=stop)
    if kind == "python":
        call = _call(spec)
        if isinstance(call, Unreadable):
            return Attempt(task_id, number, call, stop_on_disconnect=stop)
        profile = call.entrypoint or spec.name or "pickled"
        return Attempt(task_id, number, call, profile, True, timeout, stop)
    if kind == "command":
        command = _command(spec.command, spec)
        # A program's name is no entrypoint: the prefix keeps the profiles apart.
        profile = f"$ {command.argv[0]}" if isinstance(command, Command) else ""
        return Attempt(task_id, number, command, profile, False, timeout, stop)
    if kind == "service":
        replica = _replica(spec.service, spec)
        if isinstance(replica, Unreadable):
            return Attempt(task_id, number, replica, stop_on_disconnect=stop)
        grace = REPLICA_DRAIN_GRACE
        if spec.service.HasField("drain_grace"):
            grace = _within(spec.service.drain_grace, 0.0, 3600.0)
        return Attempt(
            task_id, number, replica, stop_on_disconnect=stop, replica=True, drain_grace=grace
        )
    work = Unreadable("this agent knows no such kind of work")
    return Attempt(task_id, number, work, stop_on_disconnect=stop)


def _attempt_with_hooks(
    assignment: pb.Assignment, spec: task_pb2.TaskSpec, timeout: float, *, stop: bool
) -> Attempt:
    """An attempt that is alone in its lane: nothing is queued behind it or ahead of it."""
    warm = spec.HasField("python")
    work = _call(spec) if warm else _command(spec.command, spec)
    attempt = Attempt(assignment.task_id, assignment.attempt, work, "", warm, timeout, stop)
    attempt.waited = True  # how long it takes says nothing about others
    setup = _hook(spec.hooks.setup) if spec.hooks.HasField("setup") else None
    cleanup = _hook(spec.hooks.cleanup) if spec.hooks.HasField("cleanup") else None
    if (setup or cleanup) and not isinstance(work, Unreadable):
        attempt.hooks = Hooks(setup, cleanup)
    return attempt


def _hook(message: task_pb2.Hook) -> Hook | None:
    timeout = HOOK_TIMEOUT
    if message.HasField("timeout"):
        timeout = _within(message.timeout, 0.001, 3600.0)
    if message.entrypoint:
        return Hook((sys.executable, "-P", "-m", _HOOK_PROGRAM, message.entrypoint), timeout)
    return Hook(tuple(message.argv), timeout) if message.argv else None


def _command(message: task_pb2.CommandWork, spec: task_pb2.TaskSpec) -> Command | Unreadable:
    if not message.argv or not message.argv[0]:
        return Unreadable("the command has no program")
    memory, cpu = 0, 0.0
    if spec.HasField("resources"):
        memory, cpu = spec.resources.memory, spec.resources.cpu
    return Command(
        tuple(message.argv),
        {**message.env, **_environment(spec)},
        message.cwd,
        spec.message.body if spec.HasField("message") else message.stdin,
        _secrets(message.secrets),
        memory,
        cpu,
        _large_payload(spec) if spec.HasField("payload_blob") else "",
    )


def _secrets(message: Mapping[str, task_pb2.SecretRef]) -> Mapping[str, Reference]:
    if not message:
        return _NO_SECRETS
    return {
        name: Reference("env", one.env)
        if one.WhichOneof("source") == "env"
        else Reference("file", one.file)
        for name, one in message.items()
    }


def _replica(message: task_pb2.ServiceWork, spec: task_pb2.TaskSpec) -> Replica | Unreadable:
    if not message.service or "/" in message.service:
        # It becomes a part of a key.
        return Unreadable(f"{message.service!r} is no name of a service")
    command = _command(message.command, spec)
    if isinstance(command, Unreadable):
        return command
    health = message.health
    kind = health.WhichOneof("kind")
    check = Check("tcp")
    if kind == "http_path":
        if not _PATH.fullmatch(health.http_path):
            return Unreadable(f"health check: {health.http_path!r} is no path")
        check = Check("http", health.http_path)
    elif kind == "grpc_service":
        check = Check("grpc", health.grpc_service)
    terms = HealthTerms(
        interval=_within(health.interval, 0.1, 3600.0) if health.HasField("interval") else 1.0,
        timeout=_within(health.timeout, 0.1, 60.0) if health.HasField("timeout") else 1.0,
        healthy_after=min(max(health.healthy_after or 1, 1), 10),
        unhealthy_after=min(max(health.unhealthy_after or 3, 1), 10),
        start_grace=_within(health.start_grace, 0.0, 3600.0)
        if health.HasField("start_grace")
        else 30.0,
    )
    return Replica(message.service, message.generation, command, check, terms, dict(message.labels))


def _within(duration: Duration, least: float, most: float) -> float:
    """Seconds, held to what the contract allows: the scheduler refuses the rest."""
    return min(max(duration.seconds + duration.nanos / 1e9, least), most)


def _call(spec: task_pb2.TaskSpec) -> Call | Unreadable:
    python = spec.python
    secrets = _secrets(python.secrets)
    memory = spec.resources.memory if spec.HasField("resources") else 0
    env = _environment(spec)
    kind = python.WhichOneof("arguments")
    if spec.HasField("message"):
        try:
            said, arguments = from_message.arguments(spec.message, python)
        except ValueError as error:
            return Unreadable(str(error))
        return Call(python.entrypoint, said, arguments, secrets, memory, env)
    if spec.HasField("payload_blob"):
        text = _large_payload(spec)
        large: Literal["json-blob", "pickle-blob"]
        large = "json-blob" if kind == "json" else "pickle-blob"
        return Call(python.entrypoint, large, text, secrets, memory, env)
    if kind == "json":
        return Call(python.entrypoint, "json", python.json, secrets, memory, env)
    if kind == "pickle":
        return Call(python.entrypoint, "pickle", python.pickle, secrets, memory, env)
    return Call(python.entrypoint, "", "", secrets, memory, env)


def _large_payload(spec: task_pb2.TaskSpec) -> str:
    """The name of a payload that is in the blob store."""
    ref = spec.payload_blob
    return Blob(ref.sha256, ref.upload, ref.size).text


def refs_of(messages: Iterable[pb.AttemptRef]) -> list[Ref]:
    """The names of attempts."""
    return [Ref(message.task_id, message.attempt) for message in messages]


def signals_of(messages: Iterable[pb.SignalOrder]) -> list[tuple[Ref, str]]:
    """Attempts, and the name of the signal for each; "" for one of a newer leader's."""
    return [(Ref(one.task_id, one.attempt), _SIGNALS.get(one.signal, "")) for one in messages]


def suspensions_of(messages: Iterable[pb.SuspendOrder]) -> list[tuple[Ref, bool]]:
    """Attempts, and whether each is to stand still."""
    return [(Ref(one.task_id, one.attempt), one.suspended) for one in messages]


def acknowledged_of(messages: Iterable[pb.AttemptRef]) -> list[tuple[str, int]]:
    """As `refs_of`, plain: every report is acknowledged, and a named tuple takes 0.2 us more."""
    return [(message.task_id, message.attempt) for message in messages]


def set_time(message: Timestamp, seconds: float) -> None:
    """Write seconds since the epoch into a timestamp field."""
    whole = int(seconds)
    message.seconds = whole
    message.nanos = int((seconds - whole) * 1e9)


def put_progress(message: pb.AttemptProgress, attempt: Attempt, age: float) -> None:
    """Write what an attempt said of itself `age` seconds ago."""
    progress = attempt.progress
    assert progress is not None
    message.task_id = attempt.task_id
    message.attempt = attempt.number
    if progress.fraction is not None:
        message.fraction = progress.fraction
    message.text = progress.text
    message.age = max(0.0, age)


def put_finished(response: pb.SessionResponse, report: Report, now: float) -> None:
    """Add a report to a message. `now` (wall time) is when an attempt that never began ended."""
    outcome = report.outcome
    message = response.finished.add()
    message.task_id = report.task_id
    message.attempt = report.number
    if start := outcome.start:
        set_time(message.start_time, start)
        now = start + outcome.seconds
    set_time(message.finish_time, now)
    put_outcome(message, outcome)


def _put_large(message: task_pb2.TaskResult, kind: str, text: str) -> None:
    """A result that is in the blob store; an empty one in its place says what it is."""
    blob = blob_of(text)
    message.blob.sha256, message.blob.upload, message.blob.size = blob
    if kind == "json-blob":
        message.json = ""
    else:
        message.pickle = b""


def _put_hook(message: task_pb2.HookResult, end: HookEnd) -> None:
    message.error = end.error
    message.duration.FromMicroseconds(int(end.seconds * 1e6))


def put_outcome(message: pb.AttemptFinished, outcome: Outcome) -> None:
    """Write how an attempt ended."""
    if outcome.hooks is not None:
        message.hooks.SetInParent()
        if outcome.hooks.setup is not None:
            _put_hook(message.hooks.setup, outcome.hooks.setup)
        if outcome.hooks.cleanup is not None:
            _put_hook(message.hooks.cleanup, outcome.hooks.cleanup)
    value = outcome.value
    if value is None:
        message.handed_back = True
    elif type(value) is Result:
        data = value.value
        if isinstance(data, str):
            if value.kind == "json":
                message.result.json = data
            else:
                _put_large(message.result, value.kind, data)
        elif isinstance(data, bytes):
            message.result.pickle = data
        else:
            message.result.exit_code = 0
    else:
        assert isinstance(value, Failure)
        if value.snooze:
            message.snooze.FromMilliseconds(int(value.snooze * 1e3))
        error = message.error
        error.type = value.type
        error.message = value.message
        error.traceback = value.traceback
        error.code = value.code
        error.pickle = value.pickle
        error.base_types.extend(value.base_types)
