"""What every program is given, and what it found. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

# What RabbitMQ's own benchmarks send, and the text of the issue asks for.
BODY: Final = b"x" * 100
OUTSTANDING: Final = 500
CONCURRENT: Final = 16
# Messages a second while the way from publisher to consumer is timed.
PACED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """Where to, and for how long.

    `target`: addresses of schedulers, or the port of AMQP. `count`: messages in the queue, for
    programs that consume, and to publish, for those that fill it.
    """

    target: str
    queue: str
    seconds: float
    count: int = 0


@dataclass(slots=True)
class Found:
    """Messages, the seconds that they took, and milliseconds of single ones."""

    count: int
    seconds: float
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.count / self.seconds


Program = Callable[[Work], Found]
Programs = Mapping[str, Program]
