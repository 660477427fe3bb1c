"""Characters that show text as something else than it is, made visible: one rule for all screens.

Names, messages and labels are others' words. A terminal carries out control characters (C0 but for
tab and line feed, DEL, C1: U+009B begins an escape sequence as ESC [ does), and terminals and
browsers reorder what stands between bidirectional controls ("Trojan Source", CVE-2021-42574) and
hide tag characters. `gateway/ui/src/lib/visible.ts` has the same rule.
"""

from __future__ import annotations

import re
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_DECEPTIVE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)


def deceives(text: str) -> bool:
    """Whether there are such characters in a text."""
    return _DECEPTIVE.search(text) is not None


def visible(text: str) -> str:
    """The text with a replacement character for each of them: for people."""
    return _DECEPTIVE.sub(REPLACEMENT, text)


def visible_json(document: str) -> str:
    """A JSON document with each of them escaped, which means the same: for programs and people."""
    return _DECEPTIVE.sub(_escaped, document)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
