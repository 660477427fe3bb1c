"""`python -m gateway`: one gateway process. Its exit codes: see `quorate.runtime.startup`."""

from __future__ import annotations

import logging
import resource
import sys

import structlog
import uvloop
from google.protobuf.internal import api_implementation

from gateway.app import serve
from gateway.config import GatewaySettings
from quorate.runtime.startup import CannotStart, fail, read_settings


def main(arguments: list[str] | None = None) -> int:
    """Run a gateway; the process's exit code. Raises SystemExit for wrong settings."""
    # The pure-Python protobuf would make every message ten times as dear.
    if api_implementation.Type() != "upb":
        wrong = api_implementation.Type()
        return fail("gateway", f"protobuf runs on {wrong!r}, not on upb: reinstall it")
    settings = read_settings("gateway", GatewaySettings, arguments)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
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
    # uvicorn's own: of its warnings, "Invalid HTTP request" is the caller's fault, not news.
    logging.basicConfig(level=max(level, logging.ERROR), stream=sys.stderr)
    # A connection is a file: the usual soft limit of 1,024 is below --max-connections.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        uvloop.run(serve(settings))
    except CannotStart as error:
        return fail("gateway", str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
