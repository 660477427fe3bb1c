"""Where a process writes its log: a stream whose failures are nobody else's."""

from __future__ import annotations

from typing import TextIO


class LossyOutput:
    """A text stream that loses what cannot be written, on a full disk say, instead of raising.

    A log line is written in the middle of something that matters more: a session, a commit. What
    fits into the stream's own buffer (8 KiB) follows when there is room again.

    Args:
        stream: what is written to; it stays the caller's.

    Attributes:
        failures: writes that failed.
    """

    def __init__(self, stream: TextIO) -> None:
        self.failures = 0
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as far as possible; the length of the text."""
        try:
            return self._stream.write(text)
        except OSError:
            self.failures += 1
            return len(text)

    def flush(self) -> None:
        """Pass on what is buffered, as far as possible."""
        try:
            self._stream.flush()
        except OSError:
            self.failures += 1
