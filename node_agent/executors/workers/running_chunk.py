"""A chunk that a worker runs: which of its pieces the worker has, and how far it is with them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from node_agent.core.attempts import Attempt
from node_agent.core.chunks.chunk import Chunk
from node_agent.protocol.packets import remove
from node_agent.task.work import ArrayCall


@dataclass(slots=True, eq=False)
class Sent:
    """A piece that a worker has."""

    key: int
    # Offsets of it when it was sent.
    size: int
    # The worker puts things back behind it.
    last: bool
    # Offsets that the worker has answered, and seconds of those that were read from its marks.
    answered: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class RunningChunk:
    """A chunk in a lane."""

    attempt: Attempt
    work: ArrayCall
    chunk: Chunk
    secrets: dict[str, str] | None
    # Wall time when it began.
    since: float
    # The chunk's pieces, in order.
    sent: deque[Sent] = field(default_factory=deque)
    # Its present worker has the template, and has things to put back.
    dirty: bool = False
    # The key of the request to put them back, where no piece was the last one; 0: none.
    ending: int = 0
    # What the worker was at when it was last looked at, and since when.
    at: tuple[int, int] = (0, -1)
    at_since: float = 0.0
    # The offset whose time is over, so that the worker is being ended; -1 for none.
    late: int = -1
    # Offsets that are to be ended, or not to begin; and the one for which the worker is being
    # ended, -1 for none.
    unwanted: dict[int, None] = field(default_factory=dict)
    ended: int = -1
    # The key of a piece of which no more begins, so that none follows until it is over; 0: none.
    stopped: int = 0
    # Its worker's newest request for results.
    asked: int = 0
    # The file of the results that its worker was given last; "" for none.
    page: str = ""

    def drop_page(self) -> None:
        """Delete that file: the worker has read it, or will not."""
        if self.page:
            remove(self.page)
            self.page = ""
