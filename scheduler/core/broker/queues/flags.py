"""Flags of packed messages that are the broker's own: the upper half of `storage.format`'s 16.

Whoever moves a message to another sub-log keeps them.
"""

from __future__ import annotations

from typing import Final

# It has an ordering key. All others are delivered without a look at their bytes.
HAS_ORDERING_KEY: Final = 1 << 8
# It was delivered before it came to this sub-log.
WAS_DELIVERED: Final = 1 << 9
# From here on: deliveries in vain, before it came to this sub-log.
_FAILED_SHIFT: Final = 10
MOST_FAILED: Final = 63


def with_failed(flags: int, failed: int) -> int:
    """Flags of a message that was delivered: with its number of failed deliveries."""
    failed = min(failed, MOST_FAILED)
    return flags & ((1 << _FAILED_SHIFT) - 1) | WAS_DELIVERED | failed << _FAILED_SHIFT


def failed_of(flags: int) -> int:
    """Deliveries in vain that the flags say."""
    return flags >> _FAILED_SHIFT
