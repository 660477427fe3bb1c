"""Settlements of a consumer that closes before they are durable."""

from __future__ import annotations

import logging
from typing import Final

from quorate.client.messages.consuming.ledger import Ledger

_LOG: Final = logging.getLogger("quorate.messages")


def warn_of_unsettled(ledger: Ledger) -> None:
    """Log that messages which the program settled may come again; `flush` raises instead."""
    if why := ledger.why_not_settled():
        queue = ledger.subscription.queue
        _LOG.warning(
            "the consumer of %r closes: %s; messages may be delivered again. "
            "Call flush() before close() to have this as an error",
            queue,
            why,
        )
