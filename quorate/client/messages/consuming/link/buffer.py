"""Deliveries that a program has not taken yet, within a bound of bytes. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from quorate.v1 import message_pb2

# Bytes of their bodies. Past it the stream is not read: gRPC then holds the leader.
MOST_BUFFERED: Final = 64 << 20


class Buffer:
    """First in, first out."""

    def __init__(self) -> None:
        self._deliveries: deque[message_pb2.Delivery] = deque()
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._deliveries)

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return self._bytes > MOST_BUFFERED

    def put(self, deliveries: Iterable[message_pb2.Delivery]) -> None:
        """They came."""
        for one in deliveries:
            self._deliveries.append(one)
            self._bytes += len(one.message.body)

    def take(self) -> message_pb2.Delivery:
        """The oldest one."""
        found = self._deliveries.popleft()
        self._bytes -= len(found.message.body)
        return found

    def clear(self) -> list[int]:
        """The ids of all; none is left."""
        found = [one.id for one in self._deliveries]
        self._deliveries.clear()
        self._bytes = 0
        return found
