"""The token that says who calls: `authorization: Bearer ...` on every call.

A token comes as text or as the path of a file; a file is read again when it was replaced, so that
short-lived tokens (a Kubernetes service account's, say) need no restart. Never printed.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from quorate.runtime.errors import QuorateError, invalid

Metadata = tuple[tuple[str, str], ...]

# RFC 6750, section 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_MOST_BYTES = 16 * 1024


class Bearer:
    """One token, or the file that holds it. Thread-safe.

    Raises QuorateError (INVALID_ARGUMENT) when it is none or cannot be read at first; later the
    former one stays in use until the file can be read again.
    """

    def __init__(self, token: str = "", file: str = "") -> None:
        if token and file:
            raise invalid("token", "set a token or a token file, not both")
        self._file = file
        self._lock = threading.Lock()
        self._stamp = _stamp(file)
        self._metadata = _metadata("token_file", _read(file)) if file else _metadata("token", token)

    def __repr__(self) -> str:
        return f"Bearer(file={self._file!r})" if self._file else "Bearer(...)"

    def metadata(self) -> Metadata:
        """For a call's `metadata`."""
        if self._file and _stamp(self._file) != self._stamp:
            with self._lock:
                stamp = _stamp(self._file)
                try:
                    self._metadata = _metadata("token_file", _read(self._file))
                    self._stamp = stamp
                except QuorateError:
                    # In the middle of being replaced; looked at again at the next call.
                    return self._metadata
        return self._metadata


def _metadata(field: str, token: str) -> Metadata:
    if len(token) > _MOST_BYTES or not _TOKEN.fullmatch(token):
        raise invalid(
            field, f"the value is not a bearer token (RFC 6750) of at most {_MOST_BYTES} bytes"
        )
    return (("authorization", f"Bearer {token}"),)


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MOST_BYTES + 1).decode("ascii", "replace").strip()
    except OSError as error:
        raise invalid("token_file", f"cannot read {path}: {error.strerror}") from None


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
