"""Exit codes that services and commands share. Loads nothing: short commands import it."""

from __future__ import annotations

from typing import Final

CANNOT_START: Final = 1
# As argparse has it, which refuses flags that do not exist.
USAGE: Final = 2
