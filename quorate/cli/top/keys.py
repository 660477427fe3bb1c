"""Keys from a terminal: single key presses without Enter, and the names of those that send several
bytes.

`Keyboard` puts the terminal back into its mode whatever happens.
"""

from __future__ import annotations

import os
import termios
import tty
from types import TracebackType
from typing import Final

_NAMES: Final[dict[bytes, str]] = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[1~": "home",
    b"\x1b[7~": "home",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
    b"\x1b[4~": "end",
    b"\x1b[8~": "end",
    b"\x1b[Z": "backtab",
    b"\t": "tab",
    b"\x03": "ctrl-c",
    b"\x1bOP": "f1",
    b"\x1b[11~": "f1",
    b"\x1b[21~": "f10",
}
_LONGEST: Final = max(map(len, _NAMES))
# Of one read; who leans on a key sends more, and the rest comes with the next one.
_READ: Final = 64


def named(read: bytes) -> list[str]:
    """The keys in what was read, in order; unknown sequences are left out."""
    found = []
    while read:
        length = next(
            (size for size in range(min(_LONGEST, len(read)), 0, -1) if read[:size] in _NAMES), 0
        )
        if length:
            found.append(_NAMES[read[:length]])
        elif read[0] == 0x1B:
            # Some other sequence, or Escape alone: nothing of it is a key.
            return found
        else:
            length = 1
            if 0x20 <= read[0] < 0x7F:
                found.append(chr(read[0]))
        read = read[length:]
    return found


class Keyboard:
    """A terminal that tells each key at once and shows none; as before after the `with` block."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def __enter__(self) -> Keyboard:
        # Ctrl-C and Ctrl-Z stay signals.
        tty.setcbreak(self.descriptor, termios.TCSADRAIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._before)

    def read(self) -> list[str]:
        """The keys that were pressed, as `named`; `q` when the terminal is gone."""
        try:
            read = os.read(self.descriptor, _READ)
        except OSError:
            read = b""
        return named(read) if read else ["q"]
