"""What is left of attempts that are over: orphan processes, and cgroups in which something dies.

The children of an orphan come back to the spawner when it has died. The spawner sees it die, and
asks for the next sweep: generation after generation goes, until one has no children.
"""

from __future__ import annotations

import time
from collections.abc import Container

from node_agent.spawner.cgroups import group
from node_agent.spawner.leftovers.orphans import Marks, children, kill_one

SWEEP_SECONDS = 1.0


class Leftovers:
    """Finds and ends them.

    Args:
        leaders: the processes of attempts that run, by process id.
        keys: of attempts that run.

    Attributes:
        sweep_at: when the next sweep is due (monotonic seconds); 0 for never.
        emptying: cgroups of processes that have ended, in which something still dies.
    """

    __slots__ = ("_keys", "_leaders", "_marks", "emptying", "sweep_at")

    def __init__(self, marks: Marks, leaders: Container[int], keys: Container[int]) -> None:
        self._marks = marks
        self._leaders = leaders
        self._keys = keys
        self.emptying: list[str] = []
        self.sweep_at = 0.0

    def sweep_soon(self) -> None:
        """A process has ended: what it left behind may have come to us."""
        if not self.sweep_at:
            self.sweep_at = time.monotonic() + SWEEP_SECONDS

    def leave_cgroup(self, cgroup: str) -> bool:
        """Empty and remove the cgroup of a process that exited; whether memory ran out in it."""
        starved = group.out_of_memory(cgroup)
        group.kill(cgroup)
        if not group.remove(cgroup):
            # Bounded by what dies: each goes with the first sweep that finds it empty.
            self.emptying.append(cgroup)
        return starved

    def none_running(self) -> bool:
        """Whether nobody is left who could still be in a scratch directory; rather no than yes."""
        return all(pid in self._leaders for pid in children())

    def sweep(self) -> None:
        """Kill orphans: children that left the group of an attempt which is over."""
        self.sweep_at = 0.0
        for pid in children():
            if pid in self._leaders:
                continue
            key = self._marks.key_of(pid)
            if key is not None and key not in self._keys:
                kill_one(pid)
        self.emptying = [cgroup for cgroup in self.emptying if not group.remove(cgroup)]
        if self.emptying:
            self.sweep_at = time.monotonic() + SWEEP_SECONDS
