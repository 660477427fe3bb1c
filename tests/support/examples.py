"""Examples and commands, typed in a folder beside a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from quorate.client.transport.discovery import LocalCluster
from tests.support import forked

Run = Callable[..., subprocess.CompletedProcess[str]]
_SECONDS = 60


def runner(cluster: LocalCluster, folder: Path) -> Run:
    """Runs `python ARGUMENTS` in the folder to its end; `-m quorate` as `forked` does."""
    environment = {
        **os.environ,
        "QUORATE_DATA_DIR": cluster.data_dir,
        "NO_COLOR": "1",
        "PYTHONPATH": str(forked.ROOT),
    }

    def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *map(str, words)]
        if words[:2] == ("-m", "quorate") and not forked.watched():
            given = ("quorate", argv[3:], "", environment)
            done = forked.server().run(*given, folder=str(folder))
            return subprocess.CompletedProcess(argv, done.code, done.out, done.err)
        return subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    return call
