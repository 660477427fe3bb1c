"""Where this agent may make cgroups for attempts, and which limits they get.

```
<own cgroup>/                     handed to the agent: by systemd (Delegate=yes), or a container's
  quorate-agent/                  the agent itself: a group that gives controllers to others must
                                  have no process of its own
  quorate-<mark>.<pid>/           of this agent's attempts
    <key>/                        one attempt, or one warm worker
```

Looked for once, at the start. A cgroup counts as handed over when it is writable, offers the memory
controller, and holds no process but the agent and perhaps a container's first process: a login
session's is shared with the shell, and rearranging it is not ours. Owned by the app; `Unavailable`
is an answer, not a failure, unless the operator requires cgroups.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node_agent.spawner.cgroups import group

LEAF = "quorate-agent"
_TASKS = "quorate-"
# Weight of an attempt that asks for one core, or for none: the kernel's default.
_WEIGHT_OF_CORE = 100
_LEAST_WEIGHT, _GREATEST_WEIGHT = 1, 10_000
_WANTED = ("memory", "cpu", "pids")


class Unavailable(Exception):
    """Why there are no cgroups for attempts here, in a few words."""


@dataclass(frozen=True, slots=True)
class TaskGroups:
    """The directory in which attempts get cgroups of their own.

    Attributes:
        controllers: those of memory, cpu and pids that work there.
        swap: whether swap can be limited.
        pids: processes and threads of an attempt; 0 for no limit.
    """

    parent: str
    controllers: frozenset[str]
    swap: bool = False
    pids: int = 0

    def path(self, key: int) -> str:
        """The group of the process that the spawner knows by a key."""
        return os.path.join(self.parent, str(key))

    def limits(self, memory: int = 0, cpu: float = 0.0) -> Sequence[tuple[str, str]]:
        """Control files of an attempt that asks for so many bytes and cores; 0 is no request.

        Cores become a weight, not a quota: a weight only counts while cores are short, so an
        attempt may use what is idle, and a quota would throttle one whose threads come in bursts.
        """
        limits = []
        if "memory" in self.controllers:
            if memory:
                limits.append(("memory.max", str(memory)))
                if self.swap:
                    # Else the limit would only push it into swap, and the machine with it.
                    limits.append(("memory.swap.max", "0"))
            # One that is killed ends as a whole: half of it would go on and do the wrong thing.
            limits.append(("memory.oom.group", "1"))
        if "cpu" in self.controllers and cpu:
            weight = round(_WEIGHT_OF_CORE * cpu)
            weight = min(max(weight, _LEAST_WEIGHT), _GREATEST_WEIGHT)
            limits.append(("cpu.weight", str(weight)))
        if "pids" in self.controllers and self.pids:
            limits.append(("pids.max", str(self.pids)))
        return limits

    def limit_memory(self, key: int, limit: int) -> None:
        """Change the limit (bytes; 0 for none) of a running worker. Raises OSError."""
        group.write(os.path.join(self.path(key), "memory.max"), str(limit) if limit else "max")

    def held_memory(self, key: int) -> int:
        """Bytes that a worker's group holds now. Raises OSError."""
        return int(Path(self.path(key), "memory.current").read_text())

    def kill_all(self) -> None:
        """End every attempt; its group is removed later, or by the next agent."""
        group.kill(self.parent)

    def close(self) -> None:
        """Remove what is empty; the next agent removes the rest."""
        _remove_tree(Path(self.parent))


def open_groups(
    mark: str,
    pids: int,
    *,
    cgroup_file: Path = Path("/proc/self/cgroup"),
    mount_file: Path = Path("/proc/self/mountinfo"),
) -> TaskGroups:
    """Take over the agent's own cgroup. Raises Unavailable.

    Args:
        mark: the agent's; what an earlier agent of it left behind is ended and removed.
        pids: see TaskGroups.
    """
    own = _own_group(cgroup_file, mount_file)
    try:
        offered = (own / "cgroup.controllers").read_text().split()
        if "memory" not in offered:
            raise Unavailable(f"{own} has no memory controller")
        wanted = [name for name in _WANTED if name in offered]
        if own.name == LEAF:
            # The agent before us made it, and whoever starts us again lives in it.
            own = own.parent
        elif (own / "cgroup.type").exists():  # all but the hierarchy's root have it
            _move_into_leaf(own)
        _enable(own, wanted)
        for left in own.glob(f"{_TASKS}{mark}.*"):
            group.kill(str(left))
            _remove_tree(left)
        parent = own / f"{_TASKS}{mark}.{os.getpid()}"
        parent.mkdir()
        _enable(parent, wanted)
    except OSError as error:
        raise Unavailable(f"{error.filename or own}: {error.strerror}") from error
    swap = (parent / "memory.swap.max").exists()
    return TaskGroups(str(parent), frozenset(wanted), swap, pids)


def _own_group(cgroup_file: Path, mount_file: Path) -> Path:
    """The directory of the agent's own group in the unified hierarchy."""
    try:
        lines = cgroup_file.read_text().splitlines()
        mounts = [line.split() for line in mount_file.read_text().splitlines()]
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}") from error
    own = next((line[3:] for line in lines if line.startswith("0::")), "")
    # Optional fields end with "-", then comes the type (proc_pid_mountinfo(5)).
    unified = [words for words in mounts if words[words.index("-") + 1] == "cgroup2"]
    if not own or not unified:
        raise Unavailable("no cgroup v2 is mounted")
    root, mounted = unified[0][3], Path(unified[0][4])
    beneath = os.path.relpath(own, root)
    if beneath.startswith(".."):
        raise Unavailable(f"the agent's cgroup {own} is outside of what is mounted")
    return mounted / beneath


def _move_into_leaf(own: Path) -> None:
    procs = [int(word) for word in (own / "cgroup.procs").read_text().split()]
    # 0 is a process outside of our pid namespace.
    others = [pid for pid in procs if pid not in (os.getpid(), 1)]
    if others:
        raise Unavailable(f"{own} is shared with {len(others)} other processes")
    leaf = own / LEAF
    leaf.mkdir(exist_ok=True)
    for pid in procs:
        group.write(str(leaf / "cgroup.procs"), str(pid))


def _enable(directory: Path, controllers: Sequence[str]) -> None:
    text = " ".join(f"+{name}" for name in controllers)
    group.write(str(directory / "cgroup.subtree_control"), text)


def _remove_tree(directory: Path) -> None:
    for child in directory.iterdir():
        if child.is_dir():
            group.remove(str(child))
    group.remove(str(directory))
