"""One scheduler process. Its exit codes: see `quorate.runtime.process.startup`."""

from __future__ import annotations

import uvloop

from quorate.runtime.process.startup import (
    CannotStart,
    configure_logging,
    fail,
    read_settings,
    require_fast_protobuf,
)
from scheduler.app import serve
from scheduler.config import SchedulerSettings


def main(arguments: list[str] | None = None) -> int:
    """Run a scheduler; the process's exit code. Raises SystemExit for wrong settings."""
    settings = read_settings("scheduler", SchedulerSettings, arguments)
    configure_logging(
        settings.log_level, process=f"scheduler:{settings.name}", cluster=settings.cluster
    )
    try:
        require_fast_protobuf()
        uvloop.run(serve(settings))
    except CannotStart as error:
        return fail("scheduler", str(error))
    return 0
