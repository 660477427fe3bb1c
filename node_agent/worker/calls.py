"""Finds and calls what an attempt names."""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable
from contextvars import copy_context
from types import CoroutineType
from typing import IO, Any

from node_agent.protocol import answers
from node_agent.protocol.answers import Answer
from quorate.client.chunk import MODULE_ADVICE
from quorate.runtime.attempts.outcomes import CANCELLED, Cancel, Snooze
from quorate.telemetry.tracing import attach, detach

_decoder = json.JSONDecoder()
# In C, of a value without space around it.
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]
# Looked up once; a worker that is to see changed code is started again.
_callables: dict[str, Callable[..., Any]] = {}


class Problem(Exception):
    """One of our error types, with its message and perhaps the user's traceback."""

    def __init__(self, kind: str, message: str, traceback_text: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.traceback_text = traceback_text


Loaded = tuple[Callable[..., Any], Any, Any]


def load(entrypoint: str, kind: str, arguments: str | bytes | IO[bytes]) -> Loaded:
    """What to call, positional and keyword arguments. Raises Problem."""
    function = _callables.get(entrypoint)
    if function is None and entrypoint:
        function = _callables[entrypoint] = resolve(entrypoint)
    return read_arguments(function, kind, arguments)


def call(
    loaded: Loaded, kind: str, trace: str, max_result: int, keep: answers.Keep | None = None
) -> Answer:
    """Call it, below the span that `trace` names, with context variables of its own; never raises.

    Args:
        max_result: bytes of its result; a larger one goes where `keep` puts it.
    """
    function, args, kwargs = loaded
    token = attach(trace) if trace else None
    try:
        context = copy_context()
        result = context.run(function, *args, **kwargs)
        if type(result) is CoroutineType:
            import asyncio  # most workers never need it, and it is slow to import

            result = context.run(asyncio.run, result)
    except Snooze as snooze:
        return answers.of_snooze(snooze)
    except Cancel as cancel:
        return answers.of_problem(CANCELLED, answers.text_of(cancel))
    except BaseException as error:  # noqa: BLE001 (user code may raise anything, SystemExit too)
        return answers.of_exception(error, ours=1)
    finally:
        if token is not None:
            detach(token)
    return answers.of_result(kind, result, max_result, keep)


def resolve(entrypoint: str) -> Callable[..., Any]:
    """The callable named `module:qualname`. Raises Problem."""
    module_name, _, qualname = entrypoint.partition(":")
    if not module_name or not qualname:
        raise Problem("ENTRYPOINT_NOT_FOUND", f"{entrypoint!r} is not `module:qualname`")
    importlib.invalidate_caches()
    try:
        found: object = importlib.import_module(module_name)
    except BaseException as error:  # noqa: BLE001 (a module's own code may raise anything)
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            missing = error.name
            if module_name == missing or module_name.startswith(f"{missing}."):
                raise Problem(
                    "ENTRYPOINT_NOT_FOUND",
                    f"module {missing!r} is not importable on this node; {MODULE_ADVICE}",
                ) from None
        raise Problem(
            "ENTRYPOINT_NOT_FOUND",
            f"importing {module_name!r} raised "
            f"{answers.type_name(type(error))}: {answers.text_of(error)}",
            answers.traceback_of(error, ours=1),
        ) from None
    for name in qualname.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise Problem(
                "ENTRYPOINT_NOT_FOUND", f"{module_name!r} has no attribute {qualname!r}"
            ) from None
    if not callable(found):
        raise Problem(
            "ENTRYPOINT_NOT_CALLABLE",
            f"{entrypoint!r} is not callable but of type {type(found).__name__!r}",
        )
    return found


def from_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, or RecursionError."""
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass  # space first, or no JSON
    return _decoder.decode(text)


def read_arguments(
    function: Callable[..., Any] | None, kind: str, arguments: str | bytes | IO[bytes]
) -> tuple[Callable[..., Any], Any, Any]:
    """Callable, positional and keyword arguments. Raises Problem."""
    if kind == "pickle":
        assert not isinstance(arguments, str)
        try:
            if isinstance(arguments, bytes):
                values = pickle.loads(arguments)
            else:
                values = pickle.load(arguments)
        except BaseException as error:  # noqa: BLE001 (unpickling runs user code)
            advice = f"; {MODULE_ADVICE}" if isinstance(error, ModuleNotFoundError) else ""
            raise Problem(
                "ARGUMENTS_NOT_READABLE",
                "the pickled arguments do not load here: "
                f"{answers.type_name(type(error))}: {answers.text_of(error)}{advice}",
                answers.traceback_of(error, ours=1),
            ) from None
        wanted = 2 if function is not None else 3
        if not isinstance(values, tuple) or len(values) != wanted:
            raise Problem("ARGUMENTS_NOT_READABLE", f"the pickle is not a tuple of {wanted} values")
        if function is None:
            function, args, kwargs = values
            if not callable(function):
                raise Problem("ENTRYPOINT_NOT_CALLABLE", "what was pickled is not callable")
        else:
            args, kwargs = values
        if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
            raise Problem("ARGUMENTS_NOT_READABLE", "the pickle is not (args, kwargs)")
        return function, args, kwargs
    if function is None:
        raise Problem("ENTRYPOINT_NOT_FOUND", "neither an entrypoint nor a pickled callable")
    if not kind:
        return function, (), {}
    assert isinstance(arguments, str)
    try:
        values = from_json(arguments)
    except ValueError as error:
        raise Problem("ARGUMENTS_NOT_READABLE", f"the arguments are not JSON: {error}") from None
    except RecursionError:
        raise Problem("ARGUMENTS_NOT_READABLE", "the JSON is nested too deeply") from None
    if isinstance(values, list):
        return function, values, {}
    if isinstance(values, dict) and values.keys() <= {"args", "kwargs"}:
        args, kwargs = values.get("args", []), values.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict):
            return function, args, kwargs
    raise Problem(
        "ARGUMENTS_NOT_READABLE",
        'the JSON is neither an array nor an object of "args" (array) and "kwargs" (object)',
    )
