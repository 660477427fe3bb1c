"""Gives a program large standard input: reads it from the blob store, then becomes the program.

The spawner starts this instead of the program, in the same place, as the same user, with the same
environment (in isolated mode, so that PYTHONPATH of the task means nothing here). So a timeout or a
cancellation ends a download too, and the agent never holds the bytes. What goes wrong is written to
a file that the agent made, which reads it when the exit code is `EXIT_CODE`.

    python -I -c <bootstrap> <note> <blob URL> <blob> <program> <argument> ...
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

EXIT_CODE = 113
# Bytes of a note: the error's type, a newline, its message.
MAX_NOTE = 4_096
NOT_STARTED = "NOT_STARTED"
TYPES = frozenset({NOT_STARTED, "BLOB_NOT_FOUND", "BLOB_CORRUPT", "BLOB_STORE_UNAVAILABLE"})


def command(note: str, url: str, blob: str, argv: tuple[str, ...]) -> list[str]:
    """The command line that runs `argv` with a large value as its input."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    bootstrap = (
        f"import sys; sys.path.insert(0, {home!r}); "
        "from node_agent.task.large_input import main; main()"
    )
    return [sys.executable, "-I", "-c", bootstrap, note, url, blob, *argv]


def failure_of(note: str) -> tuple[str, str] | None:
    """Type and message of what went wrong, if that is what a note says."""
    try:
        with open(note, "rb") as file:
            text = file.read(MAX_NOTE).decode(errors="replace")
    except OSError:
        return None
    kind, _, message = text.partition("\n")
    return (kind, message) if kind in TYPES else None


def main() -> None:
    """Read the input and become the program."""
    from quorate.blobs.names import blob_of
    from quorate.blobs.store import BlobError, BlobStore

    note, url, text, *argv = sys.argv[1:]
    try:
        file = BlobStore(url).get(blob_of(text))
    except BlobError as error:
        _give_up(note, error.reason, f"the large input of this task: {error.message}")
    except ValueError as error:
        _give_up(note, "BLOB_STORE_UNAVAILABLE", f"the large input of this task: {error}")
    os.dup2(file.fileno(), 0)
    file.close()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        _give_up(note, NOT_STARTED, f"{argv[0]}: {error.strerror}")


def _give_up(note: str, kind: str, message: str) -> NoReturn:
    with open(note, "wb") as file:
        file.write(f"{kind}\n{message}".encode(errors="replace")[:MAX_NOTE])
    sys.exit(EXIT_CODE)
