"""Scratch directories, in which programs run. Standard library only."""

from __future__ import annotations

import os
import stat

from node_agent.spawner.launching import Ids

SCRATCH_MODE = 0o700


def enter_scratch(path: str, ids: Ids | None) -> None:
    """Work in a scratch directory, which may be there already: an empty one is used again."""
    try:
        os.chdir(path)
    except FileNotFoundError:
        os.mkdir(path, SCRATCH_MODE)
        if ids is not None:
            os.chown(path, ids[0], ids[1])
        os.chdir(path)


def is_clean(path: str) -> bool:
    """Whether the next program may have this scratch directory: it cannot tell that it is used."""
    try:
        with os.scandir(path) as entries:
            if next(entries, None) is not None:
                return False
        return stat.S_IMODE(os.lstat(path).st_mode) == SCRATCH_MODE
    except OSError:
        return False
