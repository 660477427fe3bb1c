"""Large answers of all streams that clients have not taken yet.

A message with a large body is as much memory as many others, and each stream may have one. So the
core asks how much there is in all before it sends another one (`BrokerLimits.outgoing_bytes`), and
looks again when some of it is taken.
"""

from __future__ import annotations

from collections.abc import Callable

from scheduler.core.broker.rows import NO_SESSION, SessionId


class Outgoing:
    """Of one term. Bytes are counted as long as gRPC has not taken them.

    Args:
        notify: called when some are taken, with the session that has no others.
    """

    def __init__(self, notify: Callable[[SessionId], None]) -> None:
        self.size = 0
        self._notify = notify

    def taken(self, size: int, session: SessionId = NO_SESSION) -> None:
        """A client has taken so much, or is gone; `session`: it has taken all."""
        self.size -= size
        if size:
            self._notify(session)
