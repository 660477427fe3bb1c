"""The agent's side of the spawner: starts it, talks to it, and starts it again when it dies.

Owned by the driver; used by both executors. If the spawner is killed, the processes it started
lost their reaper: they are found by their mark and killed, and everyone waiting for one gets
`lost`. The same search at start ends what an agent AND its spawner, killed together, left behind.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from node_agent.executors.confinement import Confinement
from node_agent.executors.spawner_process import End, SpawnerProcess
from node_agent.protocol.packets import Message, Spill
from node_agent.spawner.leftovers import orphans
from node_agent.spawner.leftovers.orphans import Marks

_log = structlog.get_logger("node_agent.spawner")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: with `status` (as waitpid has it), or never started (`failure`)."""

    status: int = 0
    # Wall time when it began, and the seconds it ran.
    started: float = 0.0
    seconds: float = 0.0
    # The scratch directory was not empty and is left to the agent.
    dirty: bool = False
    # Why it never started.
    failure: str = ""
    # The spawner died: what became of the process is unknown, it was killed.
    lost: bool = False
    # The kernel killed something of it, as its cgroup's memory had run out.
    starved: bool = False
    # It never started since the node's disk cannot be written.
    unwritable: bool = False


OnExit = Callable[[Exit], None]


class SpawnerLink:
    """Starts processes by way of the spawner.

    Args:
        mark: names this agent's processes; the same for each agent of a data directory.
        spill: where messages go that are too big for a packet.
        lanes: the workers' ends of their sockets, and their marks, inherited by the spawner.
        after: called after each batch of exits was delivered.
        confinement: what holds for every process.
        on_late: called with a directory with outputs whose call had ended and written nothing.
        on_write_failed: called with the errno of a failed write; returns whether the disk is why.
    """

    def __init__(
        self,
        mark: str,
        spill: Spill,
        lanes: Sequence[tuple[End, End]],
        after: Callable[[], None],
        confinement: Confinement | None = None,
        on_late: Callable[[str], None] = lambda _directory: None,
        on_write_failed: Callable[[int | None], bool] = lambda _errno: False,
    ) -> None:
        self.confinement = confinement or Confinement()
        self._groups = self.confinement.groups
        self._mark = mark
        self._spill = spill
        self._lanes = list(lanes)
        self._after = after
        self._on_late = on_late
        self.write_failed = on_write_failed
        self._unqueued_observers: list[Callable[[int, Sequence[int]], None]] = []
        self._began_observers: list[Callable[[int, float], None]] = []
        self._progress_observers: list[Callable[[int, bytes], None]] = []
        # None before it is opened, and when it is closed.
        self._spawner: SpawnerProcess | None = None
        self._next_key = 1
        self._exits: dict[int, OnExit] = {}

    def observe_programs(
        self,
        unqueued: Callable[[int, Sequence[int]], None],
        began: Callable[[int, float], None],
        progress: Callable[[int, bytes], None],
    ) -> None:
        """Have an owner of programs notified.

        Args:
            unqueued: called with the keys of programs that `unqueue` took back, by lane.
            began: called when the program of a key really began (monotonic seconds), of those that
                run for a while.
            progress: called with a key and the newest line that its program wrote of its progress.
        """
        self._progress_observers.append(progress)
        self._unqueued_observers.append(unqueued)
        self._began_observers.append(began)

    def open(self) -> None:
        """Start the spawner, after ending what an earlier agent left behind; in the event loop."""
        if killed := kill_marked(self._mark):
            _log.warning("orphan_processes_killed", processes=killed)
        self._launch()

    def run(
        self,
        lane: int,
        argv: Sequence[str],
        env: dict[str, str],
        cwd: str,
        stdin: bytes,
        output: str,
        scratch: str,
        on_exit: OnExit,
        memory: int = 0,
        cpu: float = 0.0,
        secrets: dict[str, str] | None = None,
        frame: bytes = b"",
    ) -> int:
        """Start a program in its own session, once its lane is free; the key to kill it by.

        Args:
            output: the directory of its outputs (see `pump`).
            memory, cpu: what it asked for (bytes, cores; 0 for nothing): the limits of its cgroup.
            secrets: more of its environment, which must not reach the disk.
            frame: precedes what it writes to an output.

        Raises OSError: it takes a file to ask the spawner, and there can be none.
        """
        key = self._key(on_exit)
        limits = self._groups.limits(memory, cpu) if self._groups is not None else ()
        try:
            self._send(
                ("run", key, lane, list(argv), env, cwd, stdin, output, scratch, limits, frame),
                secrets,
            )
        except OSError:
            del self._exits[key]
            raise
        return key

    def work(
        self,
        lane: int,
        argv: Sequence[str],
        env: dict[str, str],
        cwd: str,
        outputs: str,
        on_exit: OnExit,
    ) -> int:
        """Start a worker on a lane's socket; the key to kill it by.

        Args:
            outputs: `<outputs>.<n>` is the directory of its n-th outputs (see `outputs`).
        """
        key = self._key(on_exit)
        limits = self._groups.limits() if self._groups is not None else ()
        self._send(("work", key, lane, list(argv), env, cwd, outputs, limits))
        return key

    def give(self, lane: int, end: End, marks: End) -> None:
        """The next worker of a lane gets this socket and these marks; a new lane is the next."""
        self._lanes[lane : lane + 1] = [(end, marks)]
        self._send(("lane", lane))
        if self._spawner is not None:
            self._spawner.send(b"lane", (end, marks))

    def unqueue(self, lane: int) -> None:
        """Take back programs that wait for their lane; observers are notified, also of none."""
        self._send(("unqueue", lane))

    def kill(self, key: int, number: signal.Signals) -> None:
        """Signal a whole process group; nothing happens when it has exited."""
        if key in self._exits:
            self._send(("kill", key, int(number)))

    @property
    def spawner_pid(self) -> int:
        """The spawner's process; 0 when none runs."""
        return self._spawner.pid if self._spawner is not None else 0

    async def close(self) -> None:
        """End the spawner, which first kills everything that still runs."""
        spawner, self._spawner = self._spawner, None
        if spawner is not None:
            await spawner.end()
        if self._groups is not None:
            self._groups.close()
        self._exits.clear()

    # -- inside --------------------------------------------------------------------------------

    def _key(self, on_exit: OnExit) -> int:
        key = self._next_key
        self._next_key += 1
        self._exits[key] = on_exit
        return key

    def _launch(self) -> None:
        self._spawner = SpawnerProcess(
            self._mark,
            self._lanes,
            self.confinement.base_environment,
            self._on_message,
            self._on_lost,
            self._after,
        )
        cgroups = self._groups.parent if self._groups is not None else ""
        self._send(("confine", self.confinement.ids, self.confinement.new_privileges, cgroups))

    def _send(self, message: Message, private: dict[str, str] | None = None) -> None:
        if self._spawner is not None:  # else closing: nobody waits for an answer
            self._spawner.send(self._spill.pack(message, private))

    def _on_message(self, message: Message) -> None:
        if message[0] == "failed":
            _, key, failure, number = message
            unwritable = bool(number) and self.write_failed(number)
            self._exits.pop(key)(Exit(failure=failure, unwritable=unwritable))
            return
        if message[0] == "unqueued":
            _, lane, keys = message
            for key in keys:
                del self._exits[key]
            for unqueued in self._unqueued_observers:
                unqueued(lane, keys)
            return
        if message[0] == "began":
            for key, when in message[1]:
                if key in self._exits:
                    for began in self._began_observers:
                        began(key, when)
            return
        if message[0] == "progress":
            for key, line in message[1]:
                for progress in self._progress_observers:
                    progress(key, line)
            return
        if message[0] == "late":
            self._on_late(message[1])
            return
        if message[0] == "unwritten":
            _, directory, error, number = message
            _log.error("outputs_lost", directory=directory, error=error)
            self.write_failed(number)
            return
        for key, status, started, seconds, dirty, starved in message[1]:
            self._exits.pop(key)(Exit(status, started, seconds, dirty, starved=starved))

    def _on_lost(self, status: int) -> None:
        """The spawner died: kill what it started, start another, notify everyone."""
        _log.error("spawner_died", status=status, processes=len(self._exits))
        self._spawner = None
        if self._groups is not None:
            self._groups.kill_all()
        kill_marked(self._mark)
        self._launch()
        exits, self._exits = self._exits, {}
        for on_exit in exits.values():
            on_exit(Exit(lost=True))


def directory_mark(data: Path) -> str:
    """The mark of the agents of a data directory: one after the other, since they lock it.

    It names the directory itself beside its path. Two containers may have different ones at the
    same path and yet see each other's processes (`--pid=host`): neither may end the other's.
    """
    here = data.stat()
    name = f"{data.resolve()}:{here.st_dev}:{here.st_ino}"
    return hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()


def kill_marked(mark: str) -> int:
    """SIGKILL every process that carries the mark; how many."""
    marks = Marks(mark)
    killed = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit() and marks.key_of(int(entry)) is not None:
            orphans.kill_one(int(entry))
            killed += 1
    return killed
