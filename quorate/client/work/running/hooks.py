"""The options `set_up` and `clean_up`, as messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

HookOption = str | Sequence[str] | Callable[[], object]


def put_hooks(
    spec: task_pb2.TaskSpec,
    setup: HookOption,
    setup_timeout: float | None,
    cleanup: HookOption,
    cleanup_timeout: float | None,
) -> None:
    """Write what is run around the attempts of a task, if anything. Raises INVALID_ARGUMENT."""
    if setup:
        _put("set_up", spec.hooks.setup, setup, setup_timeout)
    if cleanup:
        _put("clean_up", spec.hooks.cleanup, cleanup, cleanup_timeout)


def _put(name: str, hook: task_pb2.Hook, option: HookOption, timeout: float | None) -> None:
    if callable(option):
        module, qualname = getattr(option, "__module__", ""), getattr(option, "__qualname__", "")
        if not module or not qualname or "<" in qualname or module == "__main__":
            raise invalid(
                name, f"{option!r} is not importable on a node: define it at the top of a module"
            )
        hook.entrypoint = f"{module}:{qualname}"
    elif isinstance(option, str):
        checked_text(name, option)
        hook.entrypoint = option
    else:
        for word in option:
            checked_text(name, word)
        hook.argv.extend(option)
    if timeout is not None:
        hook.timeout.FromNanoseconds(int(timeout * 1e9))
