"""What a node says of itself in numbers, made such that they can be counted with.

A node is another machine's program: a broken sensor or another version may report what cannot be.
NaN above all must not get in: it is equal to nothing, not to itself, and `least_loaded` would look
for ever for a load that has not moved. The rules, applied where messages and records are read:

    a share         held to 0 to 1; NaN is 1: what is not known to be idle gets no work for it
    an amount       negative is 0; what is used is at most what there is
    slots, credit   the same, and at most what an agent can be configured to offer
    what it offers  negative, infinite or NaN is 0: it offers none
    an instant      the same, and none after the year 9999: no Timestamp holds it
    a time          the same: no Duration holds more
    a sentence      cut
"""

from __future__ import annotations

from math import isfinite
from typing import Final

from quorate.v1 import node_pb2
from scheduler.core.model.rows import NodeStats

# A load average above this is not one: more than processes can be.
_MOST_LOAD: Final = float(1 << 22)
# Characters.
_LONGEST_WHY: Final = 200
# As `node_agent.config` has it; an agent asks for its slots, 1,024 ahead, and what replicas it has.
# As `node_agent.config` has it; an agent asks for its slots, 1,024 ahead, what
# replicas it has, and at most 1,024 that have given their slots up.
MOST_SLOTS: Final = 1_024
MOST_CREDIT: Final = 8_192
_LAST_SECOND: Final = 253_402_300_799.0


def stats(said: node_pb2.NodeStats) -> NodeStats:
    """What a node measured of itself."""
    memory, disk = amount(said.memory_total), amount(said.disk_total)
    return NodeStats(
        share(said.cpu),
        min(amount(said.memory_used), memory),
        memory,
        min(amount(said.disk_used), disk),
        disk,
        # For people only: these two.
        min(offered(said.load1), _MOST_LOAD),
        said.disk_error[:_LONGEST_WHY],
        slots(said.yielded),
    )


def share(value: float) -> float:
    """A part of one, 0 to 1."""
    return max(0.0, value) if value <= 1.0 else 1.0


def amount(value: int) -> int:
    """So many, or so many bytes."""
    return max(0, value)


def credit(value: int) -> int:
    """Attempts that an agent will hold at once."""
    return min(amount(value), MOST_CREDIT)


def slots(value: int) -> int:
    """Attempts that a node runs at once."""
    return min(amount(value), MOST_SLOTS)


def offered(value: float) -> float:
    """So much of what comes in parts, such as cores."""
    return max(0.0, value) if isfinite(value) else 0.0


def instant(value: float) -> float:
    """Seconds since the epoch, or of a time."""
    return min(offered(value), _LAST_SECOND)
