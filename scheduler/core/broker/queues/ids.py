"""Delivery ids: the sub-log of a priority and a sequence of it, in 64 bits.

The same under every leader. Of a stream the id is the offset: its sub-log is 0.
"""

from __future__ import annotations

from typing import Final

from scheduler.core.broker.storage.format import MOST_SEQUENCE

_BITS: Final = MOST_SEQUENCE.bit_length() - 1


def make_id(priority: int, sequence: int) -> int:
    """The id of a message."""
    return priority << _BITS | sequence


def split_id(delivery: int) -> tuple[int, int]:
    """Priority and sequence. Any number is accepted: clients send them."""
    return delivery >> _BITS, delivery & (MOST_SEQUENCE - 1)
