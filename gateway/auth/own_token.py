"""The gateway's own token, for its own calls where it has no certificate: a file, read again.

What users ask goes by their credentials, never by this one. Its role is `gateway`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_LOOK: Final = 1.0
_MOST: Final = 8192


class OwnToken:
    """The token in a file. Raises ValueError when it cannot be read at first."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._token = self._read()
        self._looked = monotonic()

    def __call__(self) -> str:
        """The token as it now is; the former one while the file cannot be read."""
        now = self._monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            try:
                self._token = self._read()
            except ValueError as error:
                log.warning("token_file_unusable", why=str(error))
        return self._token

    def _read(self) -> str:
        try:
            with self._path.open() as file:
                token = file.read(_MOST + 1).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"token-file: cannot read {self._path}: {error}") from None
        if not token or len(token) > _MOST or not token.isprintable():
            raise ValueError(f"token-file: {self._path} contains no token")
        return token
