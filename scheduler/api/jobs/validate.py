"""Bounds of the requests about jobs; see `scheduler.api.validate`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2
from scheduler.api.request_sizes import MAX_BATCH_BYTES
from scheduler.api.specs.check import MAX_NAME, SpecCheck
from scheduler.api.validate import DAY, MAX_LABEL, at_most, between, duration
from scheduler.core.arrays.levels import LEAST_FAN_IN
from scheduler.core.handlers.jobs.creation import MOST_SUBTASKS
from scheduler.core.values import MAX_LABELS

# Bytes of one item.
MAX_ITEM: Final = 1 << 20
MAX_IDLE: Final = 30 * DAY
MAX_PARALLEL: Final = 1_000_000
# A subtask's failures are counted in a byte.
MAX_ATTEMPTS: Final = 250
MAX_INDEX: Final = 10**15
MAX_STEP: Final = 10**6
MAX_WATCHED: Final = 1_000
# Fields of a template that subtasks do not have.
_NOT_OF_SUBTASKS: Final = (
    *("not_before", "start_deadline", "affinity_key", "ordering_key", "unique", "hooks"),
)
# `{}` that is not part of `{{` or `}}`.
_ITEM_FIELD: Final = re.compile(r"(?<!\{)(?:\{\{)*\{\}(?!\})")


def job(spec: job_pb2.JobSpec, check: SpecCheck, now: float) -> Templates:
    """The bounds of a job's spec; its templates, serialized.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    if not spec.HasField("template"):
        raise invalid("spec.template", "is required")
    if spec.template.HasField("payload_blob"):
        raise invalid(
            "spec.template.payload_blob", "is not allowed in a job: pass a path or a key instead"
        )
    template = check.spec(spec.template, "spec.template", now)
    _template(spec.template, "spec.template")
    items = len(spec.items)
    _sizes(spec, items, "spec")
    if spec.open and spec.count and not items:
        raise invalid("spec.count", "must be 0 in an open job: its items are counted")
    changeable(spec, "spec")
    if not items and not spec.open:
        _no_item_field(spec.template, "spec.template")
    job_items("spec.items", list(spec.items), spec.template)
    reduce = b""
    if spec.HasField("reduce"):
        reduce = _reduce(spec.reduce, check, now)
    return Templates(template.spec, reduce)


def changeable(spec: job_pb2.JobSpec, field: str) -> None:
    """The bounds of what UpdateJob may change, the priority apart. Raises QuorateError as `job`."""
    if spec.HasField("close_after_idle"):
        name = f"{field}.close_after_idle"
        idle = duration(name, spec.close_after_idle, MAX_IDLE)
        if idle < 1.0:
            raise invalid(name, "must be 1 s at least", limit=1.0, value=idle)
    between(f"{field}.max_parallel", spec.max_parallel, 0, MAX_PARALLEL)
    between(f"{field}.max_failure_share", spec.max_failure_share, 0, 1)
    texts(spec, field)


class Templates(NamedTuple):
    """What the subtasks of a job run, and its reduces; serialized."""

    subtask: bytes
    reduce: bytes = b""


def _reduce(reduce: job_pb2.JobReduce, check: SpecCheck, now: float) -> bytes:
    """The bounds of a reduce; its template, serialized."""
    field = "spec.reduce.template"
    if not reduce.HasField("template"):
        raise invalid(field, "is required")
    template = reduce.template
    if template.HasField("payload_blob"):
        raise invalid(f"{field}.payload_blob", "is not allowed in a job")
    if template.WhichOneof("work") != "python":
        raise invalid(
            f"{field}.python", "is required: a reduce is a Python function that gets the results"
        )
    checked = check.spec(template, field, now)
    _template(template, field)
    if reduce.fan_in and not LEAST_FAN_IN <= reduce.fan_in <= MOST_SUBTASKS:
        raise invalid(
            "spec.reduce.fan_in",
            f"{reduce.fan_in} must be {LEAST_FAN_IN} to {MOST_SUBTASKS}, or 0 for one reduce of "
            "all results",
            limit=LEAST_FAN_IN if reduce.fan_in < LEAST_FAN_IN else MOST_SUBTASKS,
            value=reduce.fan_in,
        )
    return checked.spec


def part_of_graph(
    array: job_pb2.GraphArray, template: task_pb2.TaskSpec, field: str, path: str
) -> None:
    """The bounds of an array that is a task of a graph, its template apart. Raises QuorateError as
    `job`.

    Args:
        field: of the array; `path`: of its template.
    """
    if template.HasField("payload_blob"):
        raise invalid(
            f"{path}.payload_blob", "is not allowed in an array: pass a path or a key instead"
        )
    _template(template, path)
    _sizes(array, len(array.items), field)
    between(f"{field}.max_parallel", array.max_parallel, 0, MAX_PARALLEL)
    between(f"{field}.max_failure_share", array.max_failure_share, 0, 1)
    if array.HasField("max_failures"):
        between(f"{field}.max_failures", array.max_failures, 0, MOST_SUBTASKS)
    if not array.items:
        _no_item_field(template, path)
    job_items(f"{field}.items", list(array.items), template)


def unique_of_graph(task: job_pb2.GraphTask, field: str, known: dict[str, str]) -> None:
    """The unique key of a task of a graph; `known`: the names of those before it, by key.

    A task that is there cannot stand for one of the graph: it is of another call, which may delete
    it with its result, and cancel, pause and retry of the graph must not reach it.

    Args:
        field: of the key.
    """
    unique = task.task.unique
    if unique.on_conflict in (
        task_pb2.UNIQUE_CONFLICT_UNSPECIFIED,
        task_pb2.UNIQUE_CONFLICT_RETURN_EXISTING,
    ):
        raise invalid(
            f"{field}.on_conflict",
            f"must be REJECT or REPLACE for task {task.name!r} of a graph: a task of another call "
            "cannot stand for it, since it may be deleted with its result, and the graph could not "
            "cancel, pause or retry it",
            reason="UNIQUE_RETURN_IN_GRAPH",
            graph_task=task.name,
        )
    if (first := known.setdefault(unique.key, task.name)) != task.name:
        raise invalid(
            f"{field}.key",
            f"{unique.key[:80]!r} of task {task.name!r} is also the key of task {first!r}",
            reason="DUPLICATE_UNIQUE_KEY",
            graph_task=task.name,
        )


def _sizes(spec: job_pb2.JobSpec | job_pb2.GraphArray, items: int, field: str) -> None:
    between(f"{field}.count", spec.count, 0, MOST_SUBTASKS)
    if items and spec.count and spec.count != items:
        raise invalid(
            f"{field}.count",
            f"is {spec.count}, but there are {items} items; leave it out",
            value=items,
        )
    between(f"{field}.first_index", spec.first_index, 0, MAX_INDEX)
    between(f"{field}.index_step", spec.index_step, 0, MAX_STEP)


def _template(template: task_pb2.TaskSpec, path: str) -> None:
    there = {field.name for field, _ in template.ListFields()}
    for field in _NOT_OF_SUBTASKS:
        if field in there:
            raise invalid(f"{path}.{field}", "must not be set for the subtasks of a job")
    if template.placement.distinct:
        raise invalid(
            f"{path}.placement.distinct",
            "must not be set for the subtasks of a job: many of them run on a node at once",
        )
    if template.retry.max_attempts > MAX_ATTEMPTS:
        raise invalid(
            f"{path}.retry.max_attempts",
            f"{template.retry.max_attempts} is too many for a subtask; at most {MAX_ATTEMPTS}",
            limit=MAX_ATTEMPTS,
            value=template.retry.max_attempts,
        )


def texts(spec: job_pb2.JobSpec, field: str = "spec") -> None:
    """The bounds of a job's name and labels, and of how often it may fail."""
    labels = f"{field}.labels"
    if spec.HasField("max_failures"):
        between(f"{field}.max_failures", spec.max_failures, 0, MOST_SUBTASKS)
    at_most(f"{field}.name", len(spec.name), MAX_NAME, "characters")
    at_most(labels, len(spec.labels), MAX_LABELS, "labels")
    for key, value in spec.labels.items():
        at_most(labels, max(len(key), len(value)), MAX_LABEL, "characters each")
        if not key:
            raise invalid(labels, "a label needs a name")


def _no_item_field(template: task_pb2.TaskSpec, path: str) -> None:
    """Without items nothing can stand in the place of `{}`."""
    for place, word in enumerate(template.command.argv):
        if _ITEM_FIELD.search(word):
            raise invalid(
                f"{path}.command.argv[{place}]",
                "has {} for an item, but the job has no items; use {index}, or {{}} for braces",
            )


def job_items(field: str, items: Sequence[bytes], template: task_pb2.TaskSpec | None) -> None:
    """The bounds of items; of which template, where that is known.

    A request has up to 8 million of them: no loop in Python looks at good ones.
    """
    if not items:
        return
    largest, total = max(map(len, items)), sum(map(len, items))
    if largest > MAX_ITEM:
        place, size = next((n, len(item)) for n, item in enumerate(items) if len(item) > MAX_ITEM)
        raise invalid(
            f"{field}[{place}]",
            f"has {size} bytes; at most {MAX_ITEM} are allowed",
            reason="PAYLOAD_TOO_LARGE",
            limit=MAX_ITEM,
            value=size,
        )
    if total > MAX_BATCH_BYTES:
        raise invalid(
            field,
            f"{total} bytes together; at most {MAX_BATCH_BYTES} are allowed; append the rest",
            reason="PAYLOAD_TOO_LARGE",
            limit=MAX_BATCH_BYTES,
            value=total,
        )
    if template is not None and not template.python.HasField("pickle"):
        _items_text(field, items)


def _items_text(field: str, items: Sequence[bytes]) -> None:
    """Each item is a text in UTF-8 without NUL characters."""
    joined = b"\0".join(items)
    if joined.count(b"\0") != len(items) - 1:
        place = next(n for n, item in enumerate(items) if b"\0" in item)
        raise invalid(f"{field}[{place}]", "must not hold a NUL character")
    try:
        joined.decode()
    except UnicodeDecodeError as error:
        place = joined.count(b"\0", 0, error.start)
        raise invalid(f"{field}[{place}]", "is not a text in UTF-8") from None
