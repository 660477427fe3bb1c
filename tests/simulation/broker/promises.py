"""What producers and consumers were promised, checked as they are told.

    confirmed   it is delivered until somebody acknowledges it: not lost
    refused     returned or rejected: it is never delivered
    acked       its acknowledgement was confirmed: it is not delivered again

A queue with one consumer delivers the messages of a producer in their order, those that come again
excepted: these say so (`redelivered`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Promises:
    """Of one world. A message is its bytes: `<queue> <producer> <number>`.

    Attributes:
        asked: somebody asked that they are acknowledged, whatever came of it.
        repeated: deliveries that came again.
    """

    def __init__(self) -> None:
        self.confirmed: dict[bytes, None] = {}
        self.refused: dict[bytes, str] = {}
        self.asked: dict[bytes, None] = {}
        self.acked: dict[bytes, None] = {}
        self.repeated = 0
        self._last: dict[tuple[bytes, bytes], int] = {}
        self._first: dict[bytes, None] = {}

    def confirm(self, message: bytes) -> None:
        """Its producer learns that it is queued."""
        assert message not in self.refused, f"{message!r} was refused, and then confirmed"
        self.confirmed[message] = None

    def refuse(self, message: bytes, reason: str) -> None:
        """Its producer learns that it is in no queue."""
        assert message not in self.confirmed, f"{message!r} was confirmed, and then refused"
        self.refused[message] = reason

    def sent(self, message: bytes, *, redelivered: bool, ordered: bool) -> None:
        """A leader delivers it."""
        assert message not in self.acked, f"{message!r} is acknowledged, and comes again"
        assert message not in self.refused, f"{message!r} is refused, and comes"
        if redelivered:
            self.repeated += 1
            return
        if not ordered:
            return
        queue, producer, number = message.split()
        last = self._last.get((queue, producer), 0)
        if message not in self._first:
            assert int(number) > last, f"{message!r} comes behind number {last}"
            self._last[queue, producer] = int(number)
        self._first[message] = None

    def acknowledged(self, messages: Iterable[bytes]) -> None:
        """Their consumer learns that they are done."""
        for message in messages:
            self.acked[message] = None

    def over(self, consumed: Callable[[bytes], bool]) -> None:
        """All queues are empty. `consumed`: whether a message is for consumers."""
        lost = [one for one in self.confirmed if one not in self.asked and consumed(one)]
        assert not lost, f"{len(lost)} confirmed messages are lost: {lost[:5]}"
