"""The spawner's side of workers' outputs: a fresh pair of pipes whenever the one before was used.

A worker keeps its pipes from call to call while nothing is written and nobody was started who could
write later. Else it asks, between two calls, for the next pair: `OutputsOf.renew` empties the pipes
before it answers, so what a call wrote is on the disk before the agent learns that it has ended.
Processes that the call left behind keep the old pair, and write into their own task's log for as
long as they live.

So that a worker notices what the pump has already taken, the pump counts its reads of a lane's
present pair in memory which workers may read: first the count, then the read. Used by the spawner:
standard library only.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import socket
from collections import deque
from contextlib import suppress

from node_agent.spawner.launching import Ids, keep
from node_agent.spawner.outputs.pump import Output, Pump

# Pairs of a worker that somebody may still write to; the oldest is closed.
MAX_LEFT = 32
# Linux 5.1; Python has no name for it.
_F_SEAL_FUTURE_WRITE = 0x10
_COUNT_BYTES = 4


class Counts:
    """How often each lane's present pipes were read; `descriptor` is for the workers."""

    def __init__(self, lanes: int) -> None:
        made = os.memfd_create("outputs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size = -(-max(1, lanes * _COUNT_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(made, size)
        self._counts = memoryview(mmap.mmap(made, size)).cast("I")
        # Nobody else shrinks it (which would end us with SIGBUS) or writes to it.
        with suppress(OSError):
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE
            fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
        self.descriptor = keep(made)

    def add(self, lane: int) -> None:
        """Count a read."""
        self._counts[lane] = (self._counts[lane] + 1) & 0xFFFFFFFF


class WorkerOutputs:
    """One worker's pipes.

    Args:
        stem: `<stem>.<n>` is the directory of the n-th pair, from 1.
    """

    def __init__(
        self,
        pump: Pump,
        poll: select.epoll,
        counts: Counts,
        lane: int,
        stem: str,
        ids: Ids | None,
    ) -> None:
        self._pump, self._poll, self._counts = pump, poll, counts
        self._lane, self._stem, self._ids = lane, stem, ids
        self._made = 0
        self._left: deque[Output] = deque()
        self.present, self.stdout, self.stderr = self._open()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.socket = ours
        self.theirs = keep(theirs.detach())
        poll.register(ours, select.EPOLLIN)

    def started(self) -> None:
        """The worker has its ends."""
        for end in (self.stdout, self.stderr, self.theirs):
            os.close(end)

    def renew(self) -> bool:
        """Answer one request; False when the worker is gone, or its user code sent nonsense."""
        try:
            asked = self.socket.recv(16)
        except BlockingIOError:
            return True
        except OSError:
            asked = b""
        if asked != b"next":
            return False
        self._pump.drain(self.present)
        self._leave(self.present)
        self.present, stdout, stderr = self._open()
        try:
            socket.send_fds(self.socket, [b"next"], [stdout, stderr])
        except OSError:
            return False
        finally:
            os.close(stdout)
            os.close(stderr)
        return True

    def close(self) -> None:
        """The worker has exited: keep what it wrote, and close everything."""
        self._pump.drain(self.present)
        for output in (self.present, *self._left):
            self._pump.close(output)
        self.hang_up()

    def hang_up(self) -> None:
        """Answer no more."""
        self.socket.close()

    def _open(self) -> tuple[Output, int, int]:
        self._made += 1
        return self._pump.open(
            f"{self._stem}.{self._made}", self._ids, lambda: self._counts.add(self._lane)
        )

    def _leave(self, output: Output) -> None:
        output.before = None
        output.ended = True
        self._left.append(output)
        while self._left and (len(self._left) > MAX_LEFT or self._left[0].pipes == [-1, -1]):
            self._pump.close(self._left.popleft())
