"""Ends streams whose API token was taken out of the file, or changed, while they were open.

`TokenStreams` knows the open streams of a server (as many as `CallerLimits` lets in) by the id of
their token. While there are any it looks at the file as often as calls do, by `stat`; only when it
was read anew are the streams gone through. A stream is ended by its own timeout, in its own task.
"""

from __future__ import annotations

import asyncio

from quorate.security.credentials.tokens import LOOK, TokenFile
from quorate.security.identity import Caller


class TokenStreams:
    """The open streams of callers with API tokens. For one event loop; needs no closing."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file
        self._seen = file.generation
        self._open: dict[asyncio.Timeout, tuple[str, Caller]] = {}
        # Only while a stream is open.
        self._timer: asyncio.TimerHandle | None = None

    def add(self, until: asyncio.Timeout, token_id: str, caller: Caller) -> None:
        """Have `until`, which was entered, expire when the token is no longer this caller's."""
        self._open[until] = (token_id, caller)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def remove(self, until: asyncio.Timeout) -> None:
        """The stream has ended."""
        self._open.pop(until, None)
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._file.look()
        if self._file.generation != self._seen:
            self._seen = self._file.generation
            for until, (token_id, caller) in self._open.items():
                if self._file.caller(token_id) != caller and not until.expired():
                    until.reschedule(loop.time())
        self._timer = loop.call_later(LOOK, self._look)
