"""What each process does first: its settings, its log, and what it cannot do without.

One that cannot start says so in one line on standard error, and by its exit code.

| code | means |
|---|---|
| 1 | it cannot start here and now: a port in use, a file that cannot be read, no etcd |
| 2 | the flags or environment variables are wrong; trying again changes nothing |
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO, TypeVar, cast

import structlog
from google.protobuf.internal import api_implementation
from pydantic import BaseModel, ValidationError
from pydantic_settings import CliApp

from quorate.runtime.process.exit_codes import CANNOT_START, USAGE
from quorate.runtime.process.log_output import LossyOutput

S = TypeVar("S", bound=BaseModel)


class CannotStart(Exception):
    """One sentence for the operator; the process exits with `CANNOT_START`."""


def read_settings(program: str, settings: type[S], arguments: Sequence[str] | None = None) -> S:
    """A process's settings, from its flags, its environment and its defaults.

    Raises SystemExit (`USAGE`) after a line that names each setting that is wrong.

    Args:
        program: begins that line.
        arguments: the flags; the process's own when None.
    """
    flags = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return CliApp.run(settings, cli_args=flags)
    except ValidationError as error:
        failures = "; ".join(_sentence(failure) for failure in error.errors())
        sys.stderr.write(f"{program}: {failures}\n")
        raise SystemExit(USAGE) from None


def configure_logging(
    level: str = "info", *, console: bool = False, process: str = "", cluster: str = ""
) -> None:
    """Structured logs on standard error: a JSON object to a line, or lines for a person.

    Args:
        level: `debug`, `info`, `warning` or `error`; what is below it costs next to nothing.
        process, cluster: fields of every line, where they are not empty: role and name of this
            process (`scheduler:s1`), and the cluster's name.

    Lines that cannot be written are lost, and raise nothing.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        processors=[
            structlog.contextvars.merge_contextvars,
            _naming(process, cluster),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, LossyOutput(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def _naming(process: str, cluster: str) -> structlog.typing.Processor:
    fields = {key: text for key, text in (("process", process), ("cluster", cluster)) if text}

    def add(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        for key, text in fields.items():
            event.setdefault(key, text)
        return event

    return add


def require_fast_protobuf() -> None:
    """Raise CannotStart where protobuf is the pure Python one: ten times as dear a message."""
    found = api_implementation.Type()
    if found != "upb":
        raise CannotStart(f"protobuf runs on {found!r}, not on upb: reinstall it")


def fail(program: str, message: str) -> int:
    """Tell the operator why the process does not start; its exit code."""
    sys.stderr.write(f"{program}: {message}\n")
    return CANNOT_START


def _sentence(failure: Mapping[str, Any]) -> str:
    where = ".".join(str(part).replace("_", "-") for part in failure["loc"])
    message = str(failure["msg"]).removeprefix("Value error, ")
    # What concerns several settings has no place, and begins with the name of one.
    return f"--{where}: {message}" if where else f"--{message}"
