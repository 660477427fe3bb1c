"""What commands share: their common options, and the client they work through."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from quorate.client.client import Client
from quorate.client.discovery import default_data_dir

P = ParamSpec("P")
R = TypeVar("R")

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT[,...]",
        help="Schedulers to talk to. \\[default: $QUORATE_ADDRESS, else the local cluster]",
        show_default=False,
        rich_help_panel="Which cluster",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Data dir of a local cluster. \\[default: $QUORATE_DATA_DIR, else "
        "~/.local/state/quorate/local]",
        show_default=False,
        rich_help_panel="Which cluster",
    ),
]
RetryFor = Annotated[
    float,
    typer.Option(
        "--retry-for",
        metavar="SECONDS",
        min=0,
        help="How long to keep trying when no scheduler answers.",
        rich_help_panel="Which cluster",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

# A person waits in front of it: less patient than a program.
_PATIENCE = 10.0


def data_dir_of(given: Path | None) -> Path:
    """The data dir that is meant."""
    return (given or default_data_dir()).expanduser().absolute()


def with_client(command: Callable[Concatenate[Client, P], R]) -> Callable[..., R]:
    """Turn a function of a client into a command with `--address`, `--data-dir`, `--retry-for`.

    The client is closed when the command returns.
    """
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in (
            ("address", Address, None),
            ("data_dir", DataDir, None),
            ("retry_for", RetryFor, _PATIENCE),
        )
    ]

    @functools.wraps(command)
    def wrapper(
        *args: Any, address: str | None, data_dir: Path | None, retry_for: float, **kwargs: Any
    ) -> R:
        with Client(address, data_dir=data_dir, retry_for=retry_for) as client:
            return command(client, *args, **kwargs)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + common
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__
    return wrapper
