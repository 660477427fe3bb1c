"""`python -m node_agent`: exit code 0 after a drain, 1 with one sentence, 2 for wrong settings."""

from __future__ import annotations

import logging
import sys

import structlog
import uvloop
from pydantic import ValidationError
from pydantic_settings import CliApp

from node_agent.app import CannotRegister, Replaced, run
from node_agent.config import AgentSettings
from quorate.runtime.startup import CannotStart


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


def main() -> int:
    """Run one agent; the exit code."""
    try:
        settings = CliApp.run(AgentSettings, cli_args=sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            # What concerns several settings has no place, and names them itself.
            where = "".join(f"--{str(part).replace('_', '-')}: " for part in problem["loc"])
            said = str(problem["msg"])
            message = said if where else "--" + said.removeprefix("Value error, ")
            sys.stderr.write(f"node_agent: {where}{message}\n")
        return 2
    configure_logging(settings.log_format)
    try:
        uvloop.run(run(settings))
    except (CannotStart, CannotRegister, Replaced) as error:
        sys.stderr.write(f"node_agent: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
