"""A spawner that runs: its process, and the channel between it and the agent."""

from __future__ import annotations

import asyncio
import marshal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

import structlog

import node_agent
from node_agent.protocol.packets import Message

_log = structlog.get_logger("node_agent.spawner")

STOP_SECONDS = 6.0
_RECEIVE = 1 << 20
# Without site-packages (-S) and Python's variables (-E) it starts in a third of the time; it has to
# know where we are.
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); from node_agent.spawner.main import main; main()"
)


class End(Protocol):
    """A descriptor that the spawner gets a copy of; -1 once it is closed."""

    def fileno(self) -> int: ...


class SpawnerProcess:
    """Started when it is made, in the event loop that it lives in.

    Args:
        mark: names the processes that it starts.
        lanes: the workers' ends of their sockets, and their marks, which it inherits.
        environment: its own, and of all that it starts.
        on_message: called with what it says.
        on_lost: called with its status when it has died.
        after: called after each of both.
    """

    def __init__(
        self,
        mark: str,
        lanes: Sequence[tuple[End, End]],
        environment: Mapping[str, str] | None,
        on_message: Callable[[Message], None],
        on_lost: Callable[[int], None],
        after: Callable[[], None],
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._after = after
        self._loop = asyncio.get_running_loop()
        # Packets that the kernel would not take yet, each with the ends that go along; bounded
        # by the slots and a lane's depth.
        self._unsent: deque[tuple[bytes, Sequence[End]]] = deque()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            inherited = [(own.fileno(), marks.fileno()) for own, marks in lanes]
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *("-S", "-E", "-P", "-c", _BOOT),
                    str(Path(node_agent.__file__).parents[1]),
                    str(theirs.fileno()),
                    mark,
                    *(f"{own},{marks}" for own, marks in inherited),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *chain.from_iterable(inherited)],
                env=environment,
                # Out of reach of a Ctrl-C meant for the agent.
                start_new_session=True,
            )
        self._channel.setblocking(False)
        self._loop.add_reader(self._channel.fileno(), self._on_readable)

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def send(self, packet: bytes, ends: Sequence[End] = ()) -> None:
        """Send a packet, and the ends that go along."""
        if not self._unsent:
            try:
                self._put(packet, ends)
            except BlockingIOError:
                self._loop.add_writer(self._channel.fileno(), self._on_writable)
            except (BrokenPipeError, ConnectionResetError):
                return  # the reader sees the end of the channel and notifies everyone
            else:
                return
        self._unsent.append((packet, ends))

    async def end(self) -> None:
        """Have it kill everything that still runs, and end."""
        self._disconnect()
        try:
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error("spawner_killed", pid=self.pid)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    # -- inside --------------------------------------------------------------------------------

    def _disconnect(self) -> None:
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        self._unsent.clear()

    def _put(self, packet: bytes, ends: Sequence[End]) -> None:
        if ends:
            socket.send_fds(self._channel, [packet], [end.fileno() for end in ends])
        else:
            self._channel.send(packet)

    def _on_writable(self) -> None:
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
        try:
            packet = self._channel.recv(_RECEIVE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        if packet:
            self._on_message(marshal.loads(packet))
        else:
            status = self._process.wait()
            self._disconnect()
            self._on_lost(status)
        self._after()
