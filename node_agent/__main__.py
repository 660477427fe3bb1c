"""`python -m node_agent`: exit code 0 after a drain, else see `quorate.runtime.startup`."""

from __future__ import annotations

import ctypes
import logging
import sys

import structlog
import uvloop

from node_agent.app import CannotRegister, Replaced, run
from node_agent.config import AgentSettings
from quorate.runtime.startup import CannotStart, fail, read_settings

_PR_SET_DUMPABLE = 4


def configure_logging(style: str) -> None:
    """Structured logs on standard error."""
    plain = style == "console" or (style == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def keep_private() -> None:
    """Refuse other processes of our user a look into our memory and environment.

    Tasks may run as our own user; the cluster's credentials are not theirs. Root is not held back.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def main() -> int:
    """Run one agent; the exit code. Raises SystemExit for wrong settings."""
    keep_private()
    settings = read_settings("node_agent", AgentSettings)
    configure_logging(settings.log_format)
    try:
        uvloop.run(run(settings))
    except (CannotStart, CannotRegister, Replaced) as error:
        return fail("node_agent", str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
