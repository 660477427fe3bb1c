"""A lane: the socket pair between the agent and one worker, and what is under way on it.

A packet that the worker has not received is still in the kernel's queue, from where `take_back`
gets it exactly. User code shares the worker's end: it may have shut it down, or flooded it.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from node_agent.core.attempts import Attempt
from node_agent.executors.workers.marks import Marks
from node_agent.executors.workers.running_chunk import RunningChunk
from node_agent.protocol.packets import ANSWERS, MAX_PACKET, remove, verdict
from node_agent.protocol.replies import Reader
from quorate.runtime.timing.backoff import Backoff

# What user code that writes much to its socket end may have under way.
SEND_BUFFER = 1 << 20
# Packets taken from a lane at a time; twice as many as that buffer has room for.
MOST_PACKETS = 8192
# Seconds until a worker that ended before it was ready is started again.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0


@dataclass(slots=True)
class Lane:
    """The place of one worker at a time: what it was sent, and how far it is."""

    index: int
    # Our end; the worker's end is held too, to take packets back from.
    ours: socket.socket = field(init=False)
    theirs: socket.socket = field(init=False)
    # How far its worker is with what it has of a chunk.
    marks: Marks = field(init=False)
    # The chunk that its worker runs.
    chunk: RunningChunk | None = None
    # Process key at the spawner; 0 when no worker runs.
    process: int = 0
    ready: bool = False
    # Between workers that end before they are ready.
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE, LONGEST_PAUSE))
    # Sent or to be sent, not answered: by key, in order.
    pending: dict[int, Attempt] = field(default_factory=dict)
    # Packets the kernel would not take yet; bounded by the lane's depth.
    unsent: deque[bytes] = field(default_factory=deque)
    polled: bool = False
    # Wall time when its worker began what it does now, as far as we can tell.
    since: float = 0.0
    replies: Reader = field(default_factory=Reader)
    # Its worker sent what a correct one never sends, and is being ended.
    forged: bool = False
    # Files of messages too big for a packet, by key; ours to delete, as the worker may not.
    spilled: dict[int, str] = field(default_factory=dict)
    # What its cgroup is held to beyond what the worker had when it was idle (bytes); 0: nothing.
    memory: int = 0
    idle_memory: int = 0
    # Where its worker's outputs are: `<stem>.<outputs>` those of what it does now.
    stem: str = ""
    outputs: int = 1
    # Its worker said that it ends.
    ending: bool = False
    # A worker is wanted here: always in the slots' own lanes, else while the core says so.
    wanted: bool = False
    # Its worker ends, or is being ended: nothing more is fed to it.
    retiring: bool = False
    # Its worker was asked to end, as none is wanted any more.
    dismissed: bool = False
    # The version of the progress in the marks that was read last.
    progress_seen: int = 0

    @property
    def directory(self) -> str:
        """Where what the worker writes now is kept."""
        return f"{self.stem}.{self.outputs}"

    def __post_init__(self) -> None:
        self._pair()

    def take(self, key: int) -> Attempt:
        """An attempt is not the worker's any more. KeyError when it never was."""
        attempt = self.pending.pop(key)
        if path := self.spilled.pop(key, ""):
            remove(path)
        return attempt

    def send(self, packet: bytes) -> None:
        """Send a packet, now or later. Raises BrokenPipeError if user code shut the socket."""
        if not self.unsent:
            try:
                self.ours.send(packet)
            except BlockingIOError:
                pass
            else:
                return
        self.unsent.append(packet)

    def send_unsent(self) -> None:
        """Send what the kernel has room for now. Raises BrokenPipeError if user code shut it."""
        with suppress(BlockingIOError):
            while self.unsent:
                self.ours.send(self.unsent[0])
                self.unsent.popleft()

    def take_back(self) -> list[bytes]:
        """What the worker has not received, in order; what its running attempt waits for stays."""
        packets: list[bytes] = []
        answers: list[bytes] = []
        with suppress(BlockingIOError):
            # One that user code has shut down is at its end instead of empty.
            while packet := self.theirs.recv(MAX_PACKET + 1, socket.MSG_DONTWAIT):
                (answers if packet[:1] in ANSWERS else packets).append(packet)
        for packet in self.unsent:
            (answers if packet[:1] in ANSWERS else packets).append(packet)
        self.unsent.clear()
        with suppress(OSError):  # it was shut down: nobody waits for them
            for packet in answers:
                self.ours.send(packet)
        return packets

    def progress(self) -> tuple[Attempt, float | None, str] | None:
        """What the call that runs says of its progress, when there is something new."""
        key, attempt = next(iter(self.pending.items()))
        found = self.marks.progress(key, self.progress_seen)
        if found is None:
            return None
        self.progress_seen, fraction, text = found
        return attempt, fraction, text

    def answer_wait(self, number: int, limit: int) -> None:
        """Say whether the attempt may wait, see `packets.verdict`; nothing is ahead of it.

        Raises OSError if that cannot be sent, which happens to a worker that reads no verdicts.
        """
        self.ours.send(verdict(number, limit))

    def dismiss(self) -> None:
        """Have the worker, which has nothing to do, end by itself."""
        self.dismissed = True
        self.ready = False
        with suppress(OSError):
            self.ours.shutdown(socket.SHUT_WR)

    def discard(self) -> None:
        """Throw away what the worker sent."""
        with suppress(BlockingIOError):
            for _ in range(MOST_PACKETS):
                if not self.ours.recv(1):
                    return  # shut down

    def renew(self) -> None:
        """Another socket pair. What is left in the old one is of no use."""
        self.close()
        self._pair()

    def close(self) -> None:
        """Let go of both ends: a worker that has a copy of its own finds ours closed."""
        self.ours.close()
        self.theirs.close()
        self.marks.close()

    def _pair(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.marks = Marks()
        self.progress_seen = 0
        self.ours.setblocking(False)
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
