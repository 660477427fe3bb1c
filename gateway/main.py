"""One gateway process. Its exit codes: see `quorate.runtime.process.startup`."""

from __future__ import annotations

import logging
import resource
import sys

import uvloop

from gateway.app import serve
from gateway.config import GatewaySettings
from quorate.runtime.process.startup import (
    CannotStart,
    configure_logging,
    fail,
    read_settings,
    require_fast_protobuf,
)


def main(arguments: list[str] | None = None) -> int:
    """Run a gateway; the process's exit code. Raises SystemExit for wrong settings."""
    settings = read_settings("gateway", GatewaySettings, arguments)
    # A gateway has no name, and learns the cluster's from nobody: its address identifies it.
    configure_logging(settings.log_level, process=f"gateway:{settings.listen}")
    # uvicorn's own: of its warnings, "Invalid HTTP request" is the caller's fault, not news.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    # A connection is a file: the usual soft limit of 1,024 is below --max-connections.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        require_fast_protobuf()
        uvloop.run(serve(settings))
    except CannotStart as error:
        return fail("gateway", str(error))
    return 0
