"""The fields of a graph file, and which values each takes.

Fields of a task that are options have the name and the meaning that they have in the SDK
(`quorate.client.work.options.TaskOptions`). A value of the wrong type is refused here; bounds are
the scheduler's to check. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from quorate.cli.words import HOOK_FUNCTION, size_in_bytes

Check = Callable[[Any], Any]


class WrongValue(Exception):
    """What a field must be, as the rest of a sentence: `must be ...`."""


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise WrongValue(f"must be a string, not {named(value)}")
    return value


def whole(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongValue(f"must be a whole number, not {named(value)}")
    return value


def number(value: Any) -> float:
    """A number, such as of seconds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise WrongValue(f"must be a number, not {named(value)}")
    return value


def yes_or_no(value: Any) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise WrongValue(f"must be true or false, not {named(value)}")
    return value


def size(value: Any) -> int:
    """Bytes: a whole number, or a size such as 512M."""
    if not isinstance(value, str):
        return whole(value)
    try:
        return size_in_bytes("", value)
    except Exception:  # noqa: BLE001 - typer's BadParameter, which names an option
        raise WrongValue(f"must be a size such as 512M or 2G, not {named(value)}") from None


def texts(value: Any) -> list[str]:
    """A string, or a list of strings."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise WrongValue(f"must be a list of strings, not {named(value)}")
    return value


def words(value: Any) -> list[str]:
    """A list of strings and numbers: a program and its arguments."""
    if isinstance(value, str):
        raise WrongValue('must be a list of strings; for a line of shell write ["sh", "-c", "..."]')
    if not isinstance(value, list) or not value:
        raise WrongValue(f"must be a list of strings, not {named(value)}")
    for one in value:
        if not isinstance(one, str | int | float) or isinstance(one, bool):
            raise WrongValue(f"must be a list of strings; {named(one)} is none")
    return [str(one) for one in value]


def hook(value: Any) -> str | list[str]:
    """A program and its arguments, or the name of a function."""
    if not isinstance(value, str):
        return words(value)
    if not HOOK_FUNCTION.fullmatch(value):
        raise WrongValue(
            f'must be a list of strings, such as ["sh", "-c", "..."], or "module:function"; it is '
            f"{named(value)}"
        )
    return value


def anything(value: Any) -> list[Any]:
    """A list of JSON values."""
    if not isinstance(value, list):
        raise WrongValue(f"must be a list, not {named(value)}")
    return value


def table(value: Any) -> dict[str, Any]:
    """Values by name."""
    if not isinstance(value, dict):
        raise WrongValue(f"must be a table of names and values, not {named(value)}")
    return value


def table_of(check: Check) -> Check:
    """Values by name, each of which passes `check`."""

    def checked(value: Any) -> dict[str, Any]:
        found = {}
        for name, one in table(value).items():
            try:
                found[name] = check(one)
            except WrongValue as error:
                raise WrongValue(f"{name}: {error}") from None
        return found

    return checked


def named(value: Any) -> str:
    """A value in an error: at most about 40 characters."""
    shown = repr(value) if not isinstance(value, bool) else str(value).lower()
    return shown if len(shown) <= 40 else f"{shown[:36]}..."


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean "retries"?)`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


# Of `TaskOptions`. `queue` and `name` are of the graph and of the task's table; `request_id` is of
# the whole graph.
OPTIONS: Final[Mapping[str, Check]] = {
    "priority": whole,
    "retries": whole,
    "backoff": number,
    "max_backoff": number,
    "fatal_errors": texts,
    "crash_limit": whole,
    "timeout": number,
    "delay": number,
    "start_deadline": number,
    "labels": table_of(text),
    "cpu": number,
    "memory": size,
    "resources": table_of(whole),
    "affinity_key": text,
    "where": texts,
    "prefer": texts,
    "tolerate": texts,
    "near": table_of(text),
    "apart": table_of(text),
    "distinct": texts,
    "spread": text,
    "placement": text,
    "limit_key": text,
    "limits": texts,
    "fairness_key": text,
    "ordering_key": text,
    "unique_key": text,
    "unique_rejects": yes_or_no,
    "unique_replaces": yes_or_no,
    "unique_for": number,
    "secrets": table_of(text),
    "set_up": hook,
    "clean_up": hook,
    "set_up_timeout": number,
    "clean_up_timeout": number,
}
WORK: Final[Mapping[str, Check]] = {
    "command": words,
    "env": table_of(text),
    "cwd": text,
    "stdin": text,
    "function": text,
    "args": anything,
    "kwargs": table,
    "inputs": table_of(text),
}
# Of a task that is an array; `count` or `items` makes it one.
ARRAY: Final[Mapping[str, Check]] = {
    "count": whole,
    "items": anything,
    "first_index": whole,
    "index_step": whole,
    "max_parallel": whole,
    "max_failures": whole,
    "max_failure_share": number,
}
GRAPH: Final[Mapping[str, Check]] = {
    "name": text,
    "queue": text,
    "labels": table_of(text),
    "max_failures": whole,
    "defaults": table,
    "tasks": table,
}
