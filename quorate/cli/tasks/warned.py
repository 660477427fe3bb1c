"""The SDK's warnings, as the command line prints them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from quorate.cli.output.render import warn
from quorate.client.unplaceable import UnplaceableWarning

P = ParamSpec("P")
R = TypeVar("R")


def warned(command: Callable[P, R]) -> Callable[P, R]:
    """Have the SDK's warnings on standard error, each sentence once."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        reported: set[str] = set()

        def report(message: Warning | str, *_: object, **__: object) -> None:
            if str(message) not in reported:
                reported.add(str(message))
                warn(str(message))

        with warnings.catch_warnings():
            warnings.simplefilter("always", UnplaceableWarning)
            warnings.showwarning = report
            return command(*args, **kwargs)

    return run
