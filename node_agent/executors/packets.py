"""Messages between the agent, its spawner and its workers.

They travel over `SOCK_SEQPACKET` pairs: one packet is one message, received by exactly one
reader. That is what lets the agent, which keeps a handle on the worker's end, take back what a
worker has not received yet, without asking it.

A message is a tuple of plain values, marshalled (all processes run the same interpreter). One too
big for a packet is spilled to a file, which its receiver deletes. Imported by the spawner and the
workers: standard library only, and little of it.
"""

from __future__ import annotations

import marshal
import os
from typing import Any

# Longest packet; larger messages are spilled. The kernel's default send buffer takes several.
MAX_PACKET = 32 * 1024
_SPILLED = b"/"

Message = tuple[Any, ...]


class Spill:
    """Where messages go that are too big for a packet."""

    def __init__(self, directory: str, prefix: str) -> None:
        self._stem = os.path.join(directory, f"{prefix}-{os.getpid()}")
        self._count = 0

    def pack(self, message: Message) -> bytes:
        """The packet of a message."""
        data = marshal.dumps(message)
        if len(data) <= MAX_PACKET:
            return data
        self._count += 1
        path = f"{self._stem}-{self._count}"
        with open(path, "wb") as file:
            file.write(data)
        return path.encode()


def unpack(packet: bytes) -> Message:
    """The message of a packet; a spilled one is deleted."""
    if packet[:1] != _SPILLED:
        message: Message = marshal.loads(packet)
        return message
    with open(packet, "rb") as file:
        message = marshal.loads(file.read())
    os.unlink(packet)
    return message
