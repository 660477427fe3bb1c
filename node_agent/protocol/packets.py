"""Messages between the agent, its spawner and its workers.

They travel over `SOCK_SEQPACKET` pairs: one packet is one message, received by exactly one
reader. That is what lets the agent, which keeps a handle on the worker's end, take back what a
worker has not received yet, without asking it.

A message of the agent or the spawner is a tuple of plain values, marshalled (all processes run the
same interpreter). One too big for a packet is spilled to a file, all but its private part, which
never is. What workers answer is user code's to forge, and is read with `replies` instead. A
*verdict* is no message: it says whether a worker's attempt may wait for another task. Neither is a
*page*: results that a worker's reduce waits for. Imported by the spawner and the workers: standard
library only, and little of it.
"""

from __future__ import annotations

import marshal
import os
import struct
from typing import Any

# Longest packet; larger messages are spilled. The kernel's default send buffer takes several.
MAX_PACKET = 32 * 1024
# A spilled message's packet: this, the file's path, NUL, the private part.
_SPILLED = b"/"
# What no marshalled message begins with.
VERDICT, PAGE = b"\0", b"\1"
# What a worker's running attempt waits for.
ANSWERS = (VERDICT, PAGE)
_VERDICT = struct.Struct("<cQI")

Message = tuple[Any, ...]
# Variables and their values.
Private = dict[str, str]


class Spill:
    """Where messages go that are too big for a packet.

    Args:
        group: that may read them beside ourselves; -1 for none.
    """

    def __init__(self, directory: str, prefix: str, group: int = -1) -> None:
        self._stem = os.path.join(directory, f"{prefix}-{os.getpid()}")
        self._group = group
        self._count = 0

    def pack(self, message: Message, private: Private | None = None) -> bytes:
        """The packet of a message and its private part, which always fits into one (`secrets`).

        Raises OSError: the message has to be spilled, and cannot be.
        """
        # As the bytes they are: what is no text would take three times as many as one.
        sealed = None
        if private:
            sealed = {name: os.fsencode(value) for name, value in private.items()}
        data = marshal.dumps((message, sealed))
        if len(data) <= MAX_PACKET:
            return data
        self._count += 1
        path = f"{self._stem}-{self._count}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb") as stream:
                if self._group >= 0:
                    os.fchown(file, -1, self._group)
                    os.fchmod(file, 0o640)
                stream.write(marshal.dumps(message))
        except OSError:
            remove(path)
            raise
        return path.encode() + b"\0" + marshal.dumps(sealed)


def read(packet: bytes) -> tuple[Message, Private]:
    """The message of a packet and its private part."""
    message: Message
    if packet[:1] != _SPILLED:
        message, sealed = marshal.loads(packet)
    else:
        path, _, rest = packet.partition(b"\0")
        sealed = marshal.loads(rest)
        with open(path, "rb") as file:
            message = marshal.loads(file.read())
    if not sealed:
        return message, {}
    return message, {name: os.fsdecode(value) for name, value in sealed.items()}


def spilled(packet: bytes) -> str:
    """The path of a packet's file, or ""."""
    return os.fsdecode(packet.partition(b"\0")[0]) if packet[:1] == _SPILLED else ""


def unpack(packet: bytes) -> tuple[Message, Private]:
    """As `read`; a spilled message's file is deleted, which whoever receives it last has to do."""
    both = read(packet)
    if path := spilled(packet):
        remove(path)
    return both


def remove(path: str) -> None:
    """Delete a message's file. On a disk that takes no writes it stays until the next start."""
    try:
        os.unlink(path)
    except OSError:
        pass


def verdict(number: int, limit: int) -> bytes:
    """The packet that answers a worker's wait `number`; `limit` is 0 when it may wait.

    Else so many attempts of this node wait for other tasks already.
    """
    return _VERDICT.pack(VERDICT, number, limit)


def verdict_of(packet: bytes) -> tuple[int, int]:
    """Number and limit of a verdict."""
    _, number, limit = _VERDICT.unpack(packet)
    return number, limit


def page_packet(packet: bytes) -> bytes:
    """The packet of a page, which was packed as any message: `number, first, end, runs, error`."""
    return PAGE + packet
