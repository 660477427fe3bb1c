"""Which file a program's name stands for, and why one did not start. Standard library only."""

from __future__ import annotations

import os

# Programs whose paths are remembered, and the longest PATH that they are remembered for.
MAX_PROGRAMS = 256
MAX_SEARCH = 4096


class Programs(dict[tuple[str, str], str]):
    """Paths of programs by name and PATH, as `find_program` found them. Cleared when a program did
    not start: one of them may be gone."""

    def find(self, program: str, search: str) -> str:
        """As `find_program`, remembered."""
        known = self.get((program, search))
        if known is None:
            known = find_program(program, search)
            if len(search) <= MAX_SEARCH:  # tasks may choose it
                if len(self) >= MAX_PROGRAMS:
                    self.clear()
                self[program, search] = known
        return known


def describe(program: str, error: Exception) -> str:
    """One sentence on why a program did not start."""
    if isinstance(error, FileNotFoundError):
        return f"{program}: no such program"
    if isinstance(error, OSError):
        return f"{program}: {error.strerror or error}"
    return f"{program}: {error}"


def find_program(name: str, search: str) -> str:
    """The path of a program, as execvp(3) would find it."""
    denied = False
    for directory in search.split(os.pathsep):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            denied = True
    if denied:
        raise PermissionError(13, "permission denied")
    raise FileNotFoundError(2, "no such program")
