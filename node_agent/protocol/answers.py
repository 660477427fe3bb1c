"""Turns what user code did into an answer: a result or a typed error, within the caps."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from quorate.runtime.attempts.outcomes import Snooze, clean_snooze

# The largest limit for a result that an agent may be given, and the limit by default.
MAX_RESULT = 1024 * 1024
DEFAULT_MAX_RESULT = 256 * 1024
MAX_NAME = 1024
MAX_MESSAGE = 4 * 1024
MAX_TRACEBACK = 16 * 1024
MAX_PICKLE = 64 * 1024
# Names of base classes, one a line.
MAX_BASES = 2 * 1024
MAX_BASE_NAMES = 32
# Past a `__getattribute__` of user code.
_trace_of = BaseException.__dict__["__traceback__"].__get__

# Strict JSON: NaN and infinities have no representation in it.
_to_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode

# Kinds of arguments and results that are in the blob store: a `Blob.text` stands for them.
BLOB_KINDS = {"json-blob": "json", "pickle-blob": "pickle"}

# ("json", text) | ("pickle", bytes) | ("snooze", seconds and reason)
# | ("json-blob" or "pickle-blob", text)
# | ("error", type, message, traceback, pickle, names of base classes)
Answer = tuple[Any, ...]


# Puts a result that is too large into the blob store: (kind, its representation) to the answer.
Keep = Callable[[str, bytes], Answer]


def of_result(kind: str, value: object, most: int, keep: Keep | None = None) -> Answer:
    """The answer that carries a function's result, in the representation of its arguments.

    One of more than `most` bytes goes where `keep` puts it; RESULT_TOO_LARGE without.
    """
    try:
        data: str | bytes
        if kind == "pickle":
            data = to_pickle(value)
            size = len(data)
        else:
            # Most functions return nothing; an encoder takes 0.7 us to say so.
            data = "null" if value is None else _to_json(value)
            size = len(data) if data.isascii() else len(data.encode())
    except BaseException as error:  # noqa: BLE001 (user code: __reduce__ may raise SystemExit too)
        name = "pickle" if kind == "pickle" else "JSON"
        return of_problem(
            "RESULT_NOT_SERIALISABLE",
            f"the result of type {type(value).__name__!r} is not {name}: {text_of(error)}",
        )
    if size > most:
        if keep is not None:
            return keep(kind, data.encode() if isinstance(data, str) else data)
        return of_problem(
            "RESULT_TOO_LARGE",
            f"the result is {size} bytes long; the limit is {most}",
        )
    return ("pickle" if kind == "pickle" else "json", data)


def of_problem(kind: str, message: str, traceback_text: str = "") -> Answer:
    """The answer for one of our own error types."""
    return ("error", kind, clip(message, MAX_MESSAGE), traceback_text, b"", "")


def of_snooze(snooze: Snooze) -> Answer:
    """The answer that asks for another attempt later: seconds, then the reason."""
    text = clip(text_of(snooze), MAX_MESSAGE)
    try:
        wanted = clean_snooze(float(snooze.seconds))
    except BaseException as error:  # noqa: BLE001 (a subclass is user code)
        return of_exception(error, ours=1)
    return ("snooze", f"{wanted:.3f} {text}")


def of_exception(error: BaseException, ours: int) -> Answer:
    """The answer for an exception out of user code; `ours` frames at the top are left out."""
    try:
        data = to_pickle(error)
    except BaseException:  # noqa: BLE001 (user code again; the exception then travels as text only)
        data = b""
    return (
        "error",
        clip(type_name(type(error)), MAX_NAME),
        clip(text_of(error), MAX_MESSAGE),
        traceback_of(error, ours),
        data if len(data) <= MAX_PICKLE else b"",
        bases_of(type(error)),
    )


def to_pickle(value: object) -> bytes:
    """Pickle; by value where the type is not importable here."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception:  # noqa: BLE001 (PicklingError, TypeError, AttributeError, ...: try harder)
        # Imported when needed: cloudpickle takes as long as all the rest of a worker's start.
        from quorate.client.work import by_value

        return by_value.dumps(value)


def type_name(kind: type) -> str:
    """`ValueError`, or `package.module.Name` outside the built-ins."""
    try:
        if kind.__module__ == "builtins":
            return kind.__qualname__
        return f"{kind.__module__}.{kind.__qualname__}"
    except BaseException:  # noqa: BLE001 (a metaclass is user code as well)
        return "(a class without a name)"


def bases_of(kind: type) -> str:
    """Names of the classes it inherits from, nearest first, without `object`; one a line."""
    names: list[str] = []
    room = MAX_BASES
    for base in kind.__mro__[1:-1][:MAX_BASE_NAMES]:
        name = type_name(base)
        room -= len(name.encode(errors="replace")) + 1
        if room < 0:
            break
        if "\n" not in name:
            names.append(name)
    return "\n".join(names)


def text_of(error: BaseException) -> str:
    """str(error), which is user code as well."""
    try:
        # Joined: a subclass of `str` would bring its own methods along.
        return "".join([str(error)])
    except BaseException:  # noqa: BLE001 (user code: SystemExit would end the worker)
        return "(the exception's text could not be made)"


def traceback_of(error: BaseException, ours: int) -> str:
    """The traceback's last 16 KiB, without our own frames."""
    trace: TracebackType | None = _trace_of(error)
    for _ in range(ours):
        trace = trace.tb_next if trace is not None else None
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException:  # noqa: BLE001 (formatting calls user code: __str__, __repr__, loaders)
        lines = traceback.format_tb(trace)
    data = "".join(lines).encode(errors="replace")
    return data[-MAX_TRACEBACK:].decode(errors="ignore")


def clip(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        # Through bytes and back: lone surrogates cannot travel.
        return data.decode()
    return data[: limit - 3].decode(errors="ignore") + "..."
