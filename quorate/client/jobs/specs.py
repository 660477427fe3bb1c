"""What a caller gives for an array, as a `JobSpec` and a way to encode its items.

An item becomes the first positional argument of a function, or replaces `{}` in the arguments of a
program. It travels as the template's arguments do: as a pickle, as JSON, or as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from quorate.client.errors import ArgumentNotSerialisable, PayloadTooLarge
from quorate.client.work.options import OptionArgs, TaskOptions, set_seconds
from quorate.client.work.specs import (
    GREATEST_PAYLOAD_LIMIT,
    Argument,
    Work,
    check_size,
    command_spec,
    dump_value,
    json_spec,
    python_spec,
)
from quorate.client.work.texts import text_of
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2

# Subtasks of one job: a limit of the cluster.
MOST_SUBTASKS = 10_000_000

ArrayWork = Work | Sequence[Argument]
"""A callable, the `module:qualname` of one, or a program with its arguments as a list."""


class PlainOptions(OptionArgs, total=False):
    """Options of `array()` and `map_reduce()`: those of its subtasks, and its own, which
    `Client.array` explains."""

    max_parallel: int
    max_failures: int | None
    max_failure_share: float
    first_index: int
    index_step: int
    open: bool
    close_after_idle: float | None
    reduce_args: Sequence[Any]


class ArrayOptions(PlainOptions, total=False):
    """Options of `array()`."""

    reduce: Work | None
    fan_in: int


class ArrayCall(PlainOptions, total=False):
    """Arguments of `map_reduce()` beside its work, its items and the reduce."""

    count: int | None
    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    as_json: bool


def split(given: ArrayOptions, options: TaskOptions) -> tuple[ArrayOptions, TaskOptions]:
    """The array's own options, and `options` changed by the others; TypeError for unknown ones."""
    own = ArrayOptions.__annotations__.keys() - OptionArgs.__annotations__.keys()
    array = {name: value for name, value in given.items() if name in own}
    others = {name: value for name, value in given.items() if name not in own}
    return cast(ArrayOptions, array), options.but(cast(OptionArgs, others))


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array to create: its spec without items, and the items, encoded one by one as needed."""

    spec: job_pb2.JobSpec
    items: Iterable[Any] | None
    encode: Callable[[Any, int], bytes]
    """Of an item and its position; raises QuorateError."""


def template_of(
    work: ArrayWork,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: TaskOptions,
    now: float,
    *,
    as_json: bool,
) -> task_pb2.TaskSpec:
    """The template of an array. Raises QuorateError (INVALID_ARGUMENT)."""
    if callable(work) or isinstance(work, str):
        if not as_json:
            return python_spec(work, args, kwargs, options, now)
        if not isinstance(work, str):
            raise invalid("as_json", 'needs a function by its name, as in "module:function"')
        return json_spec(work, {"args": list(args), "kwargs": dict(kwargs)}, options, now)
    if args or kwargs:
        raise invalid("args", "a program has no further arguments; put them into its list")
    if as_json:
        raise invalid("as_json", "is for functions; a program gets its items as text")
    return command_spec(work, options, now)


def reduce_of(
    given: ArrayOptions, options: TaskOptions, now: float, *, as_json: bool
) -> task_pb2.TaskSpec | None:
    """The template of an array's reduces; None without. Raises as `template_of`."""
    work = given.get("reduce")
    if work is None:
        return None
    if not (callable(work) or isinstance(work, str)):
        raise invalid("reduce", "must be a function, or the `module:qualname` of one")
    return template_of(work, given.get("reduce_args", ()), {}, options, now, as_json=as_json)


def array_of(
    template: task_pb2.TaskSpec,
    items: Iterable[Any] | None,
    count: int | None,
    given: ArrayOptions,
    *,
    limit: int,
    reduce: task_pb2.TaskSpec | None = None,
) -> ArraySpec:
    """The array as it is to be created.

    `limit`: bytes of the template, and of one item. `reduce`: the template of its reduces. Raises
    QuorateError (INVALID_ARGUMENT), PayloadTooLarge.
    """
    if isinstance(items, (str, bytes)):
        raise invalid("items", "must be an iterable of items, not one text")
    is_open = bool(given.get("open"))
    if items is None and count is None and not is_open:
        raise invalid("items", "give items, a count, or open=True to append items later")
    if items is not None and count is not None:
        raise invalid("count", "is the number of items where there are items; give one of them")
    if is_open and count is not None:
        raise invalid("count", "an open array gets its subtasks by items")
    if count is not None and not 0 <= count <= MOST_SUBTASKS:
        raise invalid(
            "count", f"{count:,} must be 0 to {MOST_SUBTASKS:,}", limit=MOST_SUBTASKS, value=count
        )
    check_size(template, limit)
    spec = job_pb2.JobSpec(template=template, count=count or 0, open=is_open)
    for name in ("max_parallel", "first_index", "index_step"):
        value = given.get(name, 0)
        if not 0 <= value < 2**63:  # type: ignore[operator]
            raise invalid(name, f"{value} must be 0 or more", value=value)
        setattr(spec, name, value)
    if (most := given.get("max_failures")) is not None:
        if not 0 <= most < 2**63:
            raise invalid("max_failures", f"{most} must be 0 or more", value=most)
        spec.max_failures = most
    spec.max_failure_share = given.get("max_failure_share", 0.0)
    if (idle := given.get("close_after_idle")) is not None:
        set_seconds("close_after_idle", spec.close_after_idle, idle)
    fan_in = given.get("fan_in", 0)
    if reduce is not None:
        check_size(reduce, limit)
        if fan_in and not 2 <= fan_in <= MOST_SUBTASKS:
            raise invalid("fan_in", f"{fan_in:,} must be 2 to {MOST_SUBTASKS:,}", value=fan_in)
        spec.reduce.template.CopyFrom(reduce)
        spec.reduce.fan_in = fan_in
    elif fan_in:
        raise invalid("fan_in", "is of a reduce; give `reduce` too")
    return ArraySpec(spec, items, encoder_of(template, limit))


def encoder_of(template: task_pb2.TaskSpec, limit: int) -> Callable[[Any, int], bytes]:
    """What encodes an item as this template wants it; raises for one of over `limit` bytes."""
    encode = _encoder(template)
    limit = min(limit, GREATEST_PAYLOAD_LIMIT)

    def checked(item: Any, position: int) -> bytes:
        data = encode(item, position)
        if len(data) > limit:
            raise PayloadTooLarge(len(data), limit, item=f"item at position {position:,}")
        return data

    return checked


def _encoder(template: task_pb2.TaskSpec) -> Callable[[Any, int], bytes]:
    if template.WhichOneof("work") == "command":
        return _text
    if template.python.WhichOneof("arguments") == "pickle":
        return _pickle
    return _json


def _text(item: Any, position: int) -> bytes:
    # Numbers too, as in the arguments of a command.
    text = str(item) if isinstance(item, (int, float)) else item
    return text_of(f"items[{position}]", text).encode()


def _pickle(item: Any, position: int) -> bytes:
    return dump_value(f"item at position {position:,}", item)


def _json(item: Any, position: int) -> bytes:
    try:
        return json.dumps(item, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        label = f"item at position {position:,} ({type(item).__name__})"
        raise ArgumentNotSerialisable(label, str(error)) from error
