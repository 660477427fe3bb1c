"""One node agent: exit code 0 after a drain, else see `quorate.runtime.process.startup`."""

from __future__ import annotations

import ctypes
import gc
import sys

import uvloop

from node_agent.app import CannotRegister, Replaced, run
from node_agent.config import AgentSettings
from node_agent.spawner.rights import PR_SET_DUMPABLE
from quorate.runtime.process.startup import (
    CannotStart,
    configure_logging,
    fail,
    read_settings,
    require_fast_protobuf,
)


def keep_private() -> None:
    """Refuse other processes of our user a look into our memory and environment.

    Tasks may run as our own user; the cluster's credentials are not theirs. Root is not held back.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


# Objects made and not freed between two young collections. A node with many short tasks has some
# thousand in flight, none of which is garbage: with Python's 700, 1.5 % of its processor time goes
# into finding that out.
_YOUNG = 10_000


def main() -> int:
    """Run one agent; the exit code. Raises SystemExit for wrong settings."""
    keep_private()
    gc.set_threshold(_YOUNG)
    settings = read_settings("node_agent", AgentSettings)
    terminal = settings.log_format == "auto" and sys.stderr.isatty()
    configure_logging(
        console=terminal or settings.log_format == "console",
        process=f"node:{settings.name}",
        cluster=settings.cluster,
    )
    try:
        require_fast_protobuf()
        uvloop.run(run(settings))
    except (CannotStart, CannotRegister, Replaced) as error:
        return fail("node_agent", str(error))
    return 0
