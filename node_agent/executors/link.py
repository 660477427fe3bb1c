"""The agent's side of the spawner: starts it, talks to it, and starts it again when it dies.

Owned by the driver; used by both executors. If the spawner is killed, the processes it started
lost their reaper: they are found by their mark and killed, and everyone waiting for one gets
`lost`. The same search at start ends what an agent AND its spawner, killed together, left behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from node_agent.executors.confinement import Confinement
from node_agent.protocol.packets import Message, Spill
from node_agent.spawner import orphans as orphans
from node_agent.spawner.orphans import Marks

_log = structlog.get_logger("node_agent.spawner")

STOP_SECONDS = 6.0
_RECEIVE = 1 << 20
# Without site-packages (-S) and Python's variables (-E) it starts in a third of the time; it has to
# know where we are.
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); from node_agent.spawner.main import main; main()"
)


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
        lanes: the workers' ends of their sockets, inherited by the spawner.
        after: called after each batch of exits was delivered.
        confinement: what holds for every process.
        on_late: called with a directory with outputs whose call had ended and written nothing.
        on_write_failed: called with the errno of a failed write; returns whether the disk is why.
    """

    def __init__(
        self,
        mark: str,
        spill: Spill,
        lanes: Sequence[socket.socket],
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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._next_key = 1
        self._exits: dict[int, OnExit] = {}
        # Packets that the kernel would not take yet, each with the sockets that go along; bounded
        # by the slots and a lane's depth.
        self._unsent: deque[tuple[bytes, Sequence[socket.socket]]] = deque()

    def observe_programs(
        self,
        unqueued: Callable[[int, Sequence[int]], None],
        began: Callable[[int, float], None],
    ) -> None:
        """Have an owner of programs notified.

        Args:
            unqueued: called with the keys of programs that `unqueue` took back, by lane.
            began: called when the program of a key really began (monotonic seconds), of those that
                run for a while.
        """
        self._unqueued_observers.append(unqueued)
        self._began_observers.append(began)

    def open(self) -> None:
        """Start the spawner, after ending what an earlier agent left behind."""
        self._loop = asyncio.get_running_loop()
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
    ) -> int:
        """Start a program in its own session, once its lane is free; the key to kill it by.

        Args:
            output: the directory of its outputs (see `pump`).
            memory, cpu: what it asked for (bytes, cores; 0 for nothing): the limits of its cgroup.
            secrets: more of its environment, which must not reach the disk.

        Raises OSError: it takes a file to ask the spawner, and there can be none.
        """
        key = self._key(on_exit)
        limits = self._groups.limits(memory, cpu) if self._groups is not None else ()
        try:
            self._send(
                ("run", key, lane, list(argv), env, cwd, stdin, output, scratch, limits),
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

    def give(self, lane: int, end: socket.socket) -> None:
        """The next worker of a lane gets this socket; a new lane is the next one."""
        self._lanes[lane : lane + 1] = [end]
        self._send(("lane", lane))
        self._push(b"lane", (end,))

    def unqueue(self, lane: int) -> None:
        """Take back programs that wait for their lane; observers are notified, also of none."""
        self._send(("unqueue", lane))

    def kill(self, key: int, number: signal.Signals) -> None:
        """Signal a whole process group; nothing happens when it has exited."""
        if key in self._exits:
            self._send(("kill", key, int(number)))

    async def close(self) -> None:
        """End the spawner, which first kills everything that still runs."""
        self._disconnect()
        if self._process is not None:
            process, self._process = self._process, None
            try:
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _log.error("spawner_killed", pid=process.pid)
                process.kill()
                await asyncio.to_thread(process.wait)
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
        assert self._loop is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            lanes = [lane.fileno() for lane in self._lanes]
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *("-S", "-E", "-P", "-c", _BOOT),
                    str(Path(orphans.__file__).parents[2]),
                    str(theirs.fileno()),
                    self._mark,
                    *map(str, lanes),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *lanes],
                env=self.confinement.base_environment,
                # Out of reach of a Ctrl-C meant for the agent.
                start_new_session=True,
            )
        ours.setblocking(False)
        self._channel = ours
        self._loop.add_reader(ours.fileno(), self._on_readable)
        cgroups = self._groups.parent if self._groups is not None else ""
        self._send(("confine", self.confinement.ids, self.confinement.new_privileges, cgroups))

    def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            assert self._loop is not None
            self._loop.remove_reader(channel.fileno())
            self._loop.remove_writer(channel.fileno())
            channel.close()
        self._unsent.clear()

    def _send(self, message: Message, private: dict[str, str] | None = None) -> None:
        if self._channel is not None:  # else closing: nobody waits for an answer
            self._push(self._spill.pack(message, private))

    def _push(self, packet: bytes, ends: Sequence[socket.socket] = ()) -> None:
        if self._channel is None:
            return
        if not self._unsent:
            try:
                self._put(packet, ends)
            except BlockingIOError:
                assert self._loop is not None
                self._loop.add_writer(self._channel.fileno(), self._on_writable)
            except (BrokenPipeError, ConnectionResetError):
                return  # the reader sees the end of the channel and notifies everyone
            else:
                return
        self._unsent.append((packet, ends))

    def _put(self, packet: bytes, ends: Sequence[socket.socket]) -> None:
        assert self._channel is not None
        if ends:
            socket.send_fds(self._channel, [packet], [end.fileno() for end in ends])
        else:
            self._channel.send(packet)

    def _on_writable(self) -> None:
        assert self._channel is not None
        assert self._loop is not None
        try:
            while self._unsent:
                self._put(*self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()  # as above
        self._loop.remove_writer(self._channel.fileno())

    def _on_readable(self) -> None:
        assert self._channel is not None
        try:
            packet = self._channel.recv(_RECEIVE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        if not packet:
            self._on_lost()
        else:
            self._on_message(marshal.loads(packet))
        self._after()

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

    def _on_lost(self) -> None:
        """The spawner died: kill what it started, start another, notify everyone."""
        assert self._process is not None
        _log.error("spawner_died", status=self._process.wait(), processes=len(self._exits))
        self._disconnect()
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
