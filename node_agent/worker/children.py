"""Child processes that a call started: whether it did, and which of them it left.

It did not when no function that starts one was called (`noted`). Else two system calls show it:
what the dead ones used, which grows with each that was waited for, and whether there is one to wait
for. Only then /proc is read. One that a child started and left is not seen here, but the child is.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence

from node_agent.worker import noted
from node_agent.worker.output import Broken

# Left by all calls of a worker, dead ones that nobody waited for included.
MAX_CHILDREN = 32
_NONE: frozenset[int] = frozenset()
# Its event loop starts processes in C, which nobody can note.
_STARTS_WITHOUT_PYTHON = "uvloop"
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Children:
    """This process's children, as they were after the latest call."""

    def __init__(self) -> None:
        self._page_ins = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        self._known = _NONE

    def look(self, *, thorough: bool = False) -> tuple[bool, Sequence[str]]:
        """Whether the call started processes, and what its log should say. Raises Broken.

        Args:
            thorough: ask the kernel, also when no call of a function that starts one was noted.
        """
        if not (noted.started or self._known or thorough or _STARTS_WITHOUT_PYTHON in sys.modules):
            return False, ()
        noted.started.clear()
        page_ins = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        started = page_ins != self._page_ins
        self._page_ins = page_ins
        try:
            os.waitid(os.P_ALL, 0, _LOOK)
        except ChildProcessError:
            self._known = _NONE
            return started, ()
        now = _children()
        fresh, self._known = now - self._known, now
        if len(now) > MAX_CHILDREN:
            raise Broken(f"{len(now)} child processes were left")
        if not fresh:
            return started or not now, ()
        names = ", ".join(str(pid) for pid in sorted(fresh)[:3])
        return True, (f"child processes left: {len(fresh)} ({names})",)


def _children() -> frozenset[int]:
    """All of them; nothing where the kernel does not list them (PROC_CHILDREN)."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", "rb", buffering=0) as file:
                found.update(map(int, file.read().split()))
        except OSError:
            continue  # the thread ended meanwhile
    return frozenset(found)
