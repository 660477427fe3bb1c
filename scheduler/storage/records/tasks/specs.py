"""Specs of tasks: what the core must know of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.blobs.names import Blob
from quorate.v1 import task_pb2
from scheduler.core.broker.intake import EVENT_HEADER
from scheduler.core.model.indexes.texts import run_text, task_text
from scheduler.core.values import (
    BLOB_STORE,
    DEFAULT_RETRY,
    HOOKS,
    MESSAGES,
    NO_NEEDS,
    Needs,
    Replica,
    RetryPolicy,
    ServiceName,
    TaskLimits,
    TaskSpec,
)
from scheduler.storage.records import placement

# Of the specs of a batch most are the same: a short one is described once.
_SHORT_SPEC: Final = 1_024
_SHORT_SPECS: Final = 256


def recorded_spec(data: bytes) -> TaskSpec:
    """As `task_spec`, of a spec on record."""
    if len(data) > _SHORT_SPEC:
        return task_spec(task_pb2.TaskSpec.FromString(data), data)
    return _short_spec(data)


@lru_cache(maxsize=_SHORT_SPECS)
def _short_spec(data: bytes) -> TaskSpec:
    return task_spec(task_pb2.TaskSpec.FromString(data), data)


def task_spec(spec: task_pb2.TaskSpec, data: bytes) -> TaskSpec:
    """What the core must know of a validated spec; `data` is the spec, serialized."""
    text = task_text(spec.name, _work(spec), spec.labels)
    schedule = ""
    if spec.HasField("schedule"):
        schedule = spec.schedule.name
        text = run_text(text, schedule)
    needs = NO_NEEDS
    if spec.HasField("resources"):
        needs = _needs(spec.resources.SerializeToString(deterministic=True))
    blob = None
    if spec.HasField("payload_blob"):
        blob = blob_of_message(spec.payload_blob)
        needs = _with(needs, BLOB_STORE)
    if spec.HasField("hooks"):
        needs = _with(needs, HOOKS)
    from_event = False
    if spec.HasField("message"):
        needs = _with(needs, MESSAGES)
        from_event = EVENT_HEADER in spec.message.properties.headers
    return TaskSpec(
        data,
        spec.priority,
        _retry(spec.retry.SerializeToString()) if spec.HasField("retry") else DEFAULT_RETRY,
        needs,
        spec.affinity_key,
        seconds(spec.not_before) if spec.HasField("not_before") else 0.0,
        Replica(ServiceName(spec.service.service), spec.service.generation)
        if spec.HasField("service")
        else None,
        text,
        _limits(spec),
        schedule,
        seconds(spec.start_deadline) if spec.HasField("start_deadline") else 0.0,
        spec.fairness_key,
        blob,
        placement.rules(spec.placement, spec.labels) if spec.HasField("placement") else None,
        tuple(sorted(spec.labels.items())) if spec.labels else (),
        from_event=from_event,
    )


def message_template(data: bytes) -> TaskSpec | None:
    """What the messages of a queue become: a template on record, or None for none."""
    if not data:
        return None
    spec = task_pb2.TaskSpec.FromString(data)
    # What the core knows of it is what it knows of each task that is made of it.
    spec.message.SetInParent()
    return task_spec(spec, data)


def _limits(spec: task_pb2.TaskSpec) -> TaskLimits | None:
    unique = spec.unique if spec.HasField("unique") else None
    if not (spec.limit_key or spec.limits or spec.ordering_key or unique):
        return None
    return TaskLimits(
        spec.limit_key,
        # Each once: a permit is taken for each.
        tuple(dict.fromkeys(spec.limits)),
        spec.ordering_key,
        unique.key if unique else "",
        unique is not None and unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REJECT,
        unique is not None and unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE,
        unique.window.ToNanoseconds() / 1e9 if unique is not None else 0.0,
    )


def _work(spec: task_pb2.TaskSpec) -> str:
    """What the task runs, in a word."""
    match spec.WhichOneof("work"):
        case "command":
            return spec.command.argv[0].rpartition("/")[2] if spec.command.argv else ""
        case "python":
            return spec.python.entrypoint
        case "service":
            return spec.service.service
        case _:
            return ""


# Tasks share equal policies and needs: there are few kinds of them among many tasks.
@lru_cache(maxsize=1024)
def _retry(data: bytes) -> RetryPolicy:
    message = task_pb2.RetryPolicy.FromString(data)
    default = DEFAULT_RETRY
    initial = default.initial_backoff
    if message.HasField("initial_backoff"):
        initial = seconds(message.initial_backoff)
    longest = default.max_backoff
    if message.HasField("max_backoff"):
        longest = seconds(message.max_backoff)
    return RetryPolicy(
        message.max_attempts or default.max_attempts,
        initial,
        max(longest, initial),
        message.multiplier or default.multiplier,
        message.jitter if message.HasField("jitter") else default.jitter,
        tuple(message.fatal_errors),
        message.crash_limit or default.crash_limit,
    )


@lru_cache(maxsize=1024)
def _needs(data: bytes) -> Needs:
    message = task_pb2.Resources.FromString(data)
    counters = tuple(sorted((name, n) for name, n in message.counters.items() if n))
    needs = Needs(message.cpu, message.memory, counters)
    return NO_NEEDS if needs == NO_NEEDS else needs


@lru_cache(maxsize=1024)
def _with(needs: Needs, counter: str) -> Needs:
    """The same on a node that has a blob store, runs hooks, or takes messages."""
    counters = dict(needs.counters) | {counter: 1}
    return needs._replace(counters=tuple(sorted(counters.items())))


def blob_of_message(message: task_pb2.BlobRef) -> Blob:
    """A large value that a message names; whether it is well formed is not looked at."""
    return Blob(message.sha256, message.upload, message.size)


def seconds(value: Duration | Timestamp) -> float:
    """A protobuf duration or instant in seconds."""
    return value.seconds + value.nanos / 1e9
