"""`python -m scheduler`: one scheduler process."""

from __future__ import annotations

import logging
import sys

import structlog
import uvloop
from google.protobuf.internal import api_implementation
from pydantic import ValidationError
from pydantic_settings import CliApp

from quorate.runtime.startup import CannotStart
from scheduler.app import fail, serve
from scheduler.config import SchedulerSettings


def main(arguments: list[str] | None = None) -> int:
    """Run a scheduler; the process's exit code."""
    # The pure-Python protobuf would make every message ten times as dear.
    if api_implementation.Type() != "upb":
        return fail(f"protobuf runs on {api_implementation.Type()!r}, not on upb: reinstall it")
    try:
        settings = CliApp.run(SchedulerSettings, sys.argv[1:] if arguments is None else arguments)
    except ValidationError as error:
        return fail("; ".join(_sentence(fault) for fault in error.errors()))
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level.upper()]
        ),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    try:
        uvloop.run(serve(settings))
    except CannotStart as error:
        return fail(str(error))
    return 0


def _sentence(fault: object) -> str:
    assert isinstance(fault, dict)
    where = ".".join(str(part).replace("_", "-") for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"--{where}: {message}" if where else message


if __name__ == "__main__":
    sys.exit(main())
