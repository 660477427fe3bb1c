"""Names of large values. Pure.

An object is called `<sha256>/<upload>`: the digest of its bytes, and an id (UUIDv7, in hex) that is
made for each upload and never used again. Who reads it verifies the digest. The id says when it was
uploaded, and on that instant three rules stand, which together make deleting safe:

* a new task may name an object for `NAME_WITHIN` seconds after its upload, a result for
  `REPORT_WITHIN` seconds; later only one that a task on record names already;
* an object that no task on record names is deleted `DELETE_AFTER` seconds after its upload, which
  is longer than either: nobody can name it any more.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# The counter of a node that can read and write large values, and of the tasks that need one.
COUNTER: Final = "blob-store"
# Seconds.
NAME_WITHIN: Final = 3_600.0
REPORT_WITHIN: Final = 24 * 3_600.0
DELETE_AFTER: Final = 48 * 3_600.0
# How far the clock of an uploader may be ahead of the leader's.
AHEAD: Final = 3_600.0
# Bytes of one value that can be at all, and by default.
MAX_BYTES: Final = 1 << 50
DEFAULT_MAX_BYTES: Final = 1 << 30

SHA256: Final = re.compile("[0-9a-f]{64}")
UPLOAD: Final = re.compile("[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
_TEXT: Final = re.compile(f"({SHA256.pattern})/({UPLOAD.pattern})/([0-9]{{1,19}})")
# Of a text.
MAX_TEXT: Final = 64 + 1 + 32 + 1 + 19


class Blob(NamedTuple):
    """A large value: hex digest, id of its upload, bytes."""

    sha256: str
    upload: str
    size: int

    @property
    def name(self) -> str:
        """Where it is in the store."""
        return f"{self.sha256}/{self.upload}"

    @property
    def instant(self) -> float:
        """When it was uploaded (seconds since the epoch), by the clock of who did."""
        return instant_of(self.upload)

    @property
    def text(self) -> str:
        """All three, between processes of one node."""
        return f"{self.sha256}/{self.upload}/{self.size}"


def blob_of(text: str) -> Blob:
    """Undoes `Blob.text`. Raises ValueError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError("not the name of a large value")
    return Blob(found[1], found[2], int(found[3]))


def is_well_formed(blob: Blob) -> bool:
    """Whether it can name an object at all."""
    return bool(
        SHA256.fullmatch(blob.sha256)
        and UPLOAD.fullmatch(blob.upload)
        and 0 <= blob.size <= MAX_BYTES
    )


def instant_of(upload: str) -> float:
    """When an upload was made, in seconds since the epoch."""
    return int(upload[:12], 16) / 1000


def upload_id(now: float, bits: int) -> str:
    """The id of an upload that is made now; `bits`: 74 that are random."""
    number = int(now * 1000) << 80 | 0x7 << 76 | (bits >> 62 & 0xFFF) << 64
    return f"{number | 0x2 << 62 | bits & ((1 << 62) - 1):032x}"


def may_be_named(blob: Blob, now: float, within: float) -> bool:
    """Whether something new may name it, `within` seconds after its upload."""
    return -AHEAD <= now - blob.instant <= within
