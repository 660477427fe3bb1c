"""Commands whose first argument is no flag: it is made from options that many commands share.

with_client:  def get(client, task: ...)     quorate tasks get --address ... TASK
with_store:   def save(store, file: ...)     quorate backup save --etcd ... FILE
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def provided(
    command: Callable[Concatenate[T, P], R],
    options: Iterable[tuple[str, Any, Any]],
    opened: Callable[..., AbstractContextManager[T]],
) -> Callable[..., R]:
    """`command` as Typer should see it: without its first argument, with `options` behind its own.

    Args:
        options: name, annotation and default of each shared option.
        opened: given the shared options by name, what `command` gets; left when it returns.
    """
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in options
    ]

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        given = {option.name: kwargs.pop(option.name) for option in shared}
        with opened(**given) as first:
            return command(first, *args, **kwargs)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
    # Typer reads both; and it would look behind the wrapper if it could.
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__
    return wrapper
