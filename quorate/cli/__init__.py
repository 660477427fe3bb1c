"""The `quorate` command.

Results go to standard output, everything for people (hints, progress, errors) to standard error.
Every reading command has `--json`. Exit codes are listed in `quorate.cli.exits`.
"""

import os
from typing import NoReturn

from quorate.runtime.process.launch import launch

# Before gRPC is imported: children are started with a function between fork and exec (they must die
# with us), and gRPC's own fork handlers, which run there too, can end a child before its exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def main() -> NoReturn:
    """The command's entry point: run its command line and exit."""
    launch("quorate.cli.app")
