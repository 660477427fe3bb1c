"""How far a task is, as its own code says: a fraction and a text, and their bounds.

Tasks say what they like: NaN, 7.5, ten million characters. So every process that passes it on
cleans it again: the worker or the agent, and the leader.
"""

from __future__ import annotations

import math
import re
from typing import Final

from quorate.runtime.visible import visible

# Characters of a text, and bytes of it.
MAX_TEXT: Final = 256
MAX_TEXT_BYTES: Final = 4 * MAX_TEXT
# Seconds between two reports of one task to the leader.
EVERY_SECONDS: Final = 0.25
_SPACE: Final = re.compile(r"\s+")
# "0.4 epoch 4 of 10", "40% epoch 4 of 10", "- epoch 4 of 10".
_LINE: Final = re.compile(r"(?:(\d{1,9}(?:\.\d{0,18})?|\.\d{1,18})(%?)|-)(?:\s+(.*))?")


def clean_fraction(fraction: float | None) -> float | None:
    """A fraction within 0 and 1; None for what is no number."""
    if fraction is None or math.isnan(fraction):
        return None
    return min(max(fraction, 0.0), 1.0)


def clean_text(text: str) -> str:
    """One line of at most MAX_TEXT characters, of which none deceives a reader."""
    # Cut first, generously: a text may be as long as memory allows.
    text = _SPACE.sub(" ", text[: 4 * MAX_TEXT]).strip()
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
    return visible(text.encode(errors="replace").decode())


def read_line(line: str) -> tuple[float | None, str] | None:
    """The fraction and text of a line that a program wrote; None when the line is not one.

    The line is a number from 0 to 1, or a percentage, or `-` for no number; then a text, if any.
    """
    found = _LINE.fullmatch(line.strip())
    if found is None:
        return None
    number, percent, text = found.groups()
    fraction = None if number is None else float(number) / (100.0 if percent else 1.0)
    return clean_fraction(fraction), clean_text(text or "")
