"""Large answers of all streams that clients have not taken yet.

A message with a large body is as much memory as many others, and each stream may have one. So the
core asks how much there is in all before it sends another one (`BrokerLimits.outgoing_bytes`), and
looks again when some of it is taken.
"""

from __future__ import annotations

from collections.abc import Callable


class Outgoing:
    """Of one term. Bytes are counted as long as gRPC has not taken them.

    Args:
        notify: called when some are taken.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self.size = 0
        self._notify = notify

    def taken(self, size: int) -> None:
        """A client has taken so much, or is gone."""
        self.size -= size
        if size:
            self._notify()
