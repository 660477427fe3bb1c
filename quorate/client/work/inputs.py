"""Results of other tasks as arguments of a call, in a graph.

The caller pickles its arguments with a `Slot` wherever a result belongs. The leader, which
unpickles nothing, wraps that pickle and the results into another one: a `WithInputs`. A worker that
loads it loads the arguments with the results in place of the slots. A result without a slot is a
keyword argument.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import IO, Any

# (parameter, kind, data): kind is "json" or "pickle", or these with "-blob": in the blob store.
Input = tuple[str, str, str | bytes]
# Kind and content of a value in the blob store.
Open = Callable[[str, str], tuple[str, str | IO[bytes]]]


class _Values:
    """The inputs of a call that is being loaded."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.used: set[str] = set()


_loading: ContextVar[_Values | None] = ContextVar("inputs", default=None)
_open: Open | None = None


def register(opener: Open) -> None:
    """How this process reads values in the blob store."""
    global _open
    _open = opener


class Slot:
    """Where a result belongs among pickled arguments."""

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter

    def __reduce__(self) -> tuple[Any, ...]:
        return result_of, (self.parameter,)


class WithInputs:
    """Pickled arguments and the results that belong to them."""

    def __init__(self, arguments: bytes, inputs: tuple[Input, ...]) -> None:
        self.arguments = arguments
        self.inputs = inputs

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (self.arguments, self.inputs)


def result_of(parameter: str) -> Any:
    """The result that belongs into a slot; the slot itself where nobody loads a call."""
    loading = _loading.get()
    if loading is None:
        return Slot(parameter)
    loading.used.add(parameter)
    return loading.values[parameter]


def loaded(arguments: bytes, inputs: tuple[Input, ...]) -> tuple[Any, ...]:
    """`([callable,] args, kwargs)` with the results in it. Raises what loading a pickle raises."""
    values = _Values({parameter: value_of(kind, data) for parameter, kind, data in inputs})
    token = _loading.set(values)
    try:
        call = pickle.loads(arguments)
    finally:
        _loading.reset(token)
    *function, args, kwargs = call
    more = {name: value for name, value in values.values.items() if name not in values.used}
    if twice := sorted(more.keys() & kwargs.keys()):
        raise TypeError(f"{twice[0]!r} is an argument and an input")
    return (*function, args, {**kwargs, **more})


def value_of(kind: str, data: str | bytes) -> Any:
    """A result as a value."""
    if kind.endswith("-blob"):
        if _open is None or not isinstance(data, str):
            raise ValueError("a value in the blob store cannot be read here")
        kind, held = _open(kind, data)
        if not isinstance(held, str):
            with held:
                return pickle.load(held)
        data = held
    return pickle.loads(data) if isinstance(data, bytes) else json.loads(data)
