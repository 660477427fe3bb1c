"""What a task or a job runs, in one line."""

from __future__ import annotations

import shlex

from quorate.runtime.sizes import size_text
from quorate.v1 import task_pb2

_MOST_SHOWN = 4_000


def hook_rows(spec: task_pb2.TaskSpec) -> list[tuple[str, str]]:
    """The hooks of a task: what each is, and what it runs."""
    hooks = spec.hooks
    found = []
    if hooks.HasField("setup"):
        found.append(("Set-up", hook_text(hooks.setup)))
    if hooks.HasField("cleanup"):
        found.append(("Clean-up", hook_text(hooks.cleanup)))
    return found


def hook_text(hook: task_pb2.Hook) -> str:
    """What a hook runs, and its timeout where it has one of its own."""
    what = hook.entrypoint or shlex.join(hook.argv)
    if not hook.HasField("timeout"):
        return what
    return f"{what} (timeout {hook.timeout.ToMilliseconds() / 1e3:g} s)"


def work_text(spec: task_pb2.TaskSpec) -> str:
    """The command line, or the function with its arguments; a pickle only by its size."""
    if spec.WhichOneof("work") == "command":
        return shlex.join(spec.command.argv)
    if spec.WhichOneof("work") == "service":
        service = spec.service
        return f"{shlex.join(service.command.argv)} (a replica of service {service.service})"
    python = spec.python
    function = python.entrypoint or "a pickled function"
    if python.WhichOneof("arguments") == "json":
        return f"{function} {python.json[:_MOST_SHOWN]}"
    return f"{function} (pickled arguments, {size_text(len(python.pickle))})"
