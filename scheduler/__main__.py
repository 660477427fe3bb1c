"""`python -m scheduler`: one scheduler process. Its exit codes: see `quorate.runtime.startup`."""

from __future__ import annotations

import logging
import sys

import structlog
import uvloop
from google.protobuf.internal import api_implementation

from quorate.runtime.startup import CannotStart, fail, read_settings
from scheduler.app import serve
from scheduler.config import SchedulerSettings


def main(arguments: list[str] | None = None) -> int:
    """Run a scheduler; the process's exit code. Raises SystemExit for wrong settings."""
    # The pure-Python protobuf would make every message ten times as dear.
    if api_implementation.Type() != "upb":
        wrong = api_implementation.Type()
        return fail("scheduler", f"protobuf runs on {wrong!r}, not on upb: reinstall it")
    settings = read_settings("scheduler", SchedulerSettings, arguments)
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
        return fail("scheduler", str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
