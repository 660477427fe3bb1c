"""What runs on a node when `map` sends many items in one task.

Imported by worker processes, so it imports nothing but the standard library.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CoroutineType
from typing import Any

ENTRYPOINT = "quorate.client.chunk:run_chunk"
STAR_ENTRYPOINT = "quorate.client.chunk:run_star_chunk"
# Of an array: each item is the positional arguments of one call.
CALL_STAR = "quorate.client.chunk:call_star"


# What to do about a module that is not there, for whoever reads the error.
MODULE_ADVICE = (
    "check its name; nodes import what is installed where they run, and those of 'quorate up' also "
    "from the folder in which it was called (a Python program can send a module along: "
    "cloudpickle.register_pickle_by_value(module))"
)


@lru_cache(maxsize=256)
def load(entrypoint: str) -> Callable[..., Any]:
    """The callable that `module:qualname` names.

    Raises ModuleNotFoundError, with what to do, when this process cannot import the module.
    """
    module, _, qualname = entrypoint.partition(":")
    try:
        target: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or f"{module}.".startswith(f"{error.name}."):
            text = f"module {error.name!r} is not importable on this node; {MODULE_ADVICE}"
            raise ModuleNotFoundError(text, name=error.name) from None
        raise
    for part in qualname.split("."):
        target = getattr(target, part)
    if not callable(target):
        raise TypeError(f"{entrypoint} is not callable")
    found: Callable[..., Any] = target
    return found


def run_chunk(function: str | Callable[..., Any], items: Sequence[Any]) -> list[Any]:
    """`function` of each item, in order. The first exception ends the chunk, as in `map`.

    What an `async` function returns is run to its end, one item behind the other.
    """
    call = load(function) if isinstance(function, str) else function
    return _awaited([call(item) for item in items])


def run_star_chunk(function: str | Callable[..., Any], items: Sequence[Sequence[Any]]) -> list[Any]:
    """As `run_chunk`, each item being the positional arguments of one call."""
    call = load(function) if isinstance(function, str) else function
    return _awaited([call(*item) for item in items])


def call_star(item: Sequence[Any], function: str | Callable[..., Any]) -> Any:
    """One call, with an item as its positional arguments."""
    call = load(function) if isinstance(function, str) else function
    return call(*item)


def _awaited(values: list[Any]) -> list[Any]:
    """The values, with coroutines run."""
    if CoroutineType not in map(type, values):
        return values
    import asyncio  # most workers never need it, and it is slow to import

    with asyncio.Runner() as runner:
        try:
            return [
                runner.run(value) if type(value) is CoroutineType else value for value in values
            ]
        finally:
            for value in values:
                if type(value) is CoroutineType:
                    # Behind one that failed: never begun, and not to be warned of.
                    value.close()
