"""What messages become in a task queue: the requests about message templates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import command_spec, entrypoint_of, json_spec
from quorate.client.work.texts import text_of
from quorate.runtime.errors import invalid
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2

TemplateWork = Callable[..., Any] | str | Sequence[str] | task_pb2.TaskSpec
"""A function that nodes can import, the `module:qualname` of one, a program with its arguments, or
a spec."""


def set_template(
    queue: str,
    work: TemplateWork,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    options: TaskOptions,
) -> pb.SetMessageTemplateRequest:
    """The request that sets a template. Raises QuorateError."""
    return pb.SetMessageTemplateRequest(
        queue=text_of("queue", queue),
        template=_spec(work, args, kwargs or {}, options),
        request_id=new_request_id(),
    )


def remove_template(queue: str) -> pb.SetMessageTemplateRequest:
    """The request that takes a template away."""
    return pb.SetMessageTemplateRequest(queue=text_of("queue", queue), request_id=new_request_id())


def _spec(
    work: TemplateWork, args: Sequence[Any], kwargs: Mapping[str, Any], options: TaskOptions
) -> task_pb2.TaskSpec:
    if isinstance(work, task_pb2.TaskSpec):
        return work
    now = time.time()
    if isinstance(work, Sequence) and not isinstance(work, str):
        if args or kwargs:
            raise invalid("args", "are those of a function; a program has them in work")
        return command_spec(work, options, now)
    entrypoint = entrypoint_of(work)
    if entrypoint is None:
        raise invalid(
            "work",
            f"{work!r} has no name by which a node can import it; put the function into a module "
            "that nodes have",
        )
    return json_spec(entrypoint, {"args": list(args), "kwargs": dict(kwargs)}, options, now)
