"""What one attempt says of its progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """The newest progress of one attempt."""

    # 0 to 1; None: it did not say.
    fraction: float | None
    text: str
    # When it was said, and when one of this attempt was reported last (monotonic seconds).
    at: float
    reported_at: float = float("-inf")
