"""From a function call or a program to a `TaskSpec`.

A function that a node can import goes by name (`module:qualname`) with pickled arguments.
Lambdas, closures, bound methods and whatever lives in `__main__` go by value (cloudpickle).
What does not serialise, or is too large, is refused here, before anything is sent.
"""

from __future__ import annotations

import functools
import json
import os
import pickle
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from quorate.client.errors import ArgumentNotSerialisable, PayloadTooLarge
from quorate.client.work.by_value import by_value_modules, dumps, goes_by_value
from quorate.client.work.options import TaskOptions
from quorate.client.work.texts import checked_text, checked_texts, text_of
from quorate.runtime.errors import invalid
from quorate.v1 import scheduler_pb2, task_pb2

DEFAULT_PAYLOAD_LIMIT = 256 * 1024
GREATEST_PAYLOAD_LIMIT = 1024 * 1024
# Of one batch, in tasks and in bytes: limits of the cluster.
MOST_IN_BATCH = 10_000
MOST_BATCH_BYTES = 16 * 1024 * 1024

_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_ENTRYPOINT = re.compile(f"{_DOTTED}:{_DOTTED}")

Argument = str | bytes | os.PathLike[str] | int | float
"""An argument of a program; a path or bytes as file names are decoded."""

Work = Callable[..., Any] | str
"""A callable, or the `module:qualname` of one that need not exist on this machine."""


def entrypoint_of(work: Work) -> str | None:
    """The name by which a node can import it, or None when it has to go by value."""
    if isinstance(work, str):
        if not _ENTRYPOINT.fullmatch(work):
            raise invalid(
                "entrypoint",
                f"{work!r} is not of the form module:function{_meant(work)}",
                value=work,
            )
        return work
    if not callable(work):
        raise invalid("entrypoint", f"{type(work).__name__} is not callable")
    return _importable_name(work)


def _meant(work: str) -> str:
    """`math.sqrt` is how Python writes it."""
    module, _, name = work.rpartition(".")
    meant = f"{module}:{name}"
    return f"; did you mean {meant!r}?" if _ENTRYPOINT.fullmatch(meant) else ""


def _importable_name(work: Callable[..., Any]) -> str | None:
    module = getattr(work, "__module__", None)
    qualname = getattr(work, "__qualname__", None)
    if not module or not qualname or "<" in qualname or goes_by_value(module):
        return None
    found = named(module, qualname)
    # A function decorated with @quorate.task is found as that object, which calls it. Any other
    # wrapper does something of its own: what it wraps has no name.
    if found is work or (_is_task(found) and found.__wrapped__ is work):
        return f"{module}:{qualname}"
    return None


def named(module: str, qualname: str) -> Any:
    """What stands under that name in a module that is loaded; None when nothing does."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def name_of(work: Work) -> str:
    """What to call the task when the caller does not say."""
    if isinstance(work, str):
        return work.partition(":")[2][:128]
    while isinstance(work, functools.partial):
        work = work.func
    return str(getattr(work, "__qualname__", type(work).__qualname__))[-128:]


def python_spec(
    work: Work,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: TaskOptions,
    now: float,
    keep: Callable[[bytes], bytes] | None = None,
) -> task_pb2.TaskSpec:
    """The spec of one call; `keep` may hold back a pickle that is too large for one.

    Raises ArgumentNotSerialisable, QuorateError (INVALID_ARGUMENT).
    """
    entrypoint = by_reference(work)
    spec = task_pb2.TaskSpec(name=name_of(work))
    if isinstance(entrypoint, str):
        spec.python.entrypoint = entrypoint
        data = dump_call((tuple(args), dict(kwargs)))
    else:
        data = dump_call((entrypoint, tuple(args), dict(kwargs)))
    spec.python.pickle = data if keep is None else keep(data)
    options.apply(spec, now=now)
    return spec


def chunk_spec(
    runner: str, work: Work, items: Sequence[Any], options: TaskOptions, now: float
) -> task_pb2.TaskSpec:
    """The spec of one chunk of a map; `runner` is one of `quorate.client.chunk`'s functions."""
    spec = task_pb2.TaskSpec(name=name_of(work))
    spec.python.entrypoint = runner
    function = by_reference(work)
    try:
        spec.python.pickle = dump_call(((function, items), {}))
    except ArgumentNotSerialisable:
        # Name the function or the item, not "argument 2 (list)".
        for item in items:
            dump_call((function, (item,), {}))
        raise
    options.apply(spec, now=now)
    return spec


def json_spec(
    entrypoint: str, arguments: Any, options: TaskOptions, now: float
) -> task_pb2.TaskSpec:
    """The spec of a call with JSON arguments: a list, or `{"args": [...], "kwargs": {...}}`."""
    if entrypoint_of(entrypoint) is None:
        raise AssertionError("a string is its own entrypoint")
    spec = task_pb2.TaskSpec(name=name_of(entrypoint))
    spec.python.entrypoint = entrypoint
    text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            # Lone surrogates, such as a file name that is not UTF-8 has: JSON can escape them.
            text = json.dumps(arguments, separators=(",", ":"))
    spec.python.json = text
    options.apply(spec, now=now)
    return spec


def command_spec(
    argv: Sequence[Argument],
    options: TaskOptions,
    now: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    stdin: bytes | str = b"",
    secrets: Mapping[str, str] | None = None,
    keep: Callable[[bytes], bytes] | None = None,
) -> task_pb2.TaskSpec:
    """The spec of a program run. `argv` goes to no shell; `secrets` are beside the options'; `keep`
    may hold back an input that is too large."""
    if isinstance(argv, str):
        raise invalid("argv", "must be a list of strings, not one string")
    if not argv or not argv[0]:
        raise invalid("argv", "must name a program")
    texts = [_argument(index, value) for index, value in enumerate(argv)]
    spec = task_pb2.TaskSpec(name=texts[0].rpartition("/")[2][:128])
    spec.command.argv.extend(texts)
    if env:
        spec.command.env.update(checked_texts("env", env))
    spec.command.cwd = text_of("cwd", cwd)
    data = checked_text("stdin", stdin).encode() if isinstance(stdin, str) else stdin
    spec.command.stdin = data if keep is None else keep(data)
    if secrets:
        options = replace(options, secrets={**options.secrets, **secrets})
    options.apply(spec, now=now)
    return spec


def _argument(index: int, value: object) -> str:
    # Numbers too: ["sleep", 5] leaves no doubt.
    text = str(value) if isinstance(value, (int, float)) else value
    return text_of(f"argv[{index}]", text)


def check_payload_limit(limit: int) -> None:
    """Raise QuorateError (INVALID_ARGUMENT) for a bound that no cluster could hold to."""
    if not 0 < limit <= GREATEST_PAYLOAD_LIMIT:
        raise invalid(
            "payload_limit",
            f"must be 1 to {GREATEST_PAYLOAD_LIMIT:,} bytes",
            limit=GREATEST_PAYLOAD_LIMIT,
        )


def check_size(spec: task_pb2.TaskSpec, limit: int) -> int:
    """The spec's size in bytes. Raises PayloadTooLarge above `limit`."""
    size = spec.ByteSize()
    if size > limit:
        raise PayloadTooLarge(size, limit)
    return size


def check_batch(request: scheduler_pb2.BatchCreateTasksRequest) -> None:
    """Raise PayloadTooLarge, or QuorateError (INVALID_ARGUMENT), for what no batch may hold.

    A scheduler refuses it too, unless it is over 20 MiB: those gRPC does not let through, and says
    no more than that a message is too large.
    """
    count = len(request.specs)
    if count > MOST_IN_BATCH:
        raise invalid(
            "specs", f"{count:,} tasks; at most {MOST_IN_BATCH:,} go into one batch",
            limit=MOST_IN_BATCH, value=count,
        )  # fmt: skip
    size = request.ByteSize()
    if size > MOST_BATCH_BYTES:
        raise PayloadTooLarge(size, MOST_BATCH_BYTES, batch=True)


def by_reference(work: Work) -> Work:
    """The work as a worker gets it: its `module:qualname`, or the callable where it has none."""
    entrypoint = entrypoint_of(work)
    if entrypoint is not None:
        return entrypoint
    # Worker processes need the function, not the SDK's wrapper around it.
    return getattr(work, "__wrapped__", work) if _is_task(work) else work


def _is_task(work: Any) -> bool:
    return type(work).__module__ == "quorate.client.decorator"


def dump_call(call: tuple[Any, ...]) -> bytes:
    """Pickle `([callable,] args, kwargs)`; ArgumentNotSerialisable names the culprit.

    Plain pickle is several times faster than cloudpickle, and enough unless something is defined
    in `__main__`, which a node would look up in its own, or in a module that is to go by value.
    """
    if (data := _plainly(call)) is not None:
        return data
    try:
        return dumps(call)
    except Exception as error:
        # Any class may raise anything from its __reduce__: find which argument it was.
        raise _culprit(call, error) from error


def dump_value(label: str, value: Any) -> bytes:
    """Pickle one value as `dump_call` does; ArgumentNotSerialisable calls it `label`."""
    if (data := _plainly(value)) is not None:
        return data
    try:
        return dumps(value)
    except Exception as error:
        raise ArgumentNotSerialisable(f"{label} ({type(value).__name__})", str(error)) from error


def _plainly(value: Any) -> bytes | None:
    """A plain pickle where that is enough."""
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 - any class may raise anything; cloudpickle decides
        return None
    if b"__main__" in data or any(name.encode() in data for name in by_value_modules()):
        return None
    return data


def _culprit(call: tuple[Any, ...], error: Exception) -> ArgumentNotSerialisable:
    *head, args, kwargs = call
    named = [(f"function {name_of(value)!r}", value) for value in head]
    named += [(f"argument {index + 1}", value) for index, value in enumerate(args)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for label, value in named:
        try:
            dumps(value)
        except Exception as cause:  # noqa: BLE001 - see dump_call
            return ArgumentNotSerialisable(f"{label} ({type(value).__name__})", str(cause))
    return ArgumentNotSerialisable("the arguments", str(error))
