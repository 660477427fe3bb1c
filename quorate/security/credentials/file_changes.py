"""A small file that several processes change: one at a time, and nothing is lost by a power cut.

The lock (flock) is on the file itself, so nothing lies beside it. Whoever replaces the file leaves
those who wait with a lock on what is no longer there: they see that, and begin again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Seconds. A change takes milliseconds.
_PATIENCE: Final = 10.0
_LOOK: Final = 0.01
_HELD: Final = "another process is changing it"


@contextmanager
def changing(path: Path, *, make: bool = False) -> Iterator[int]:
    """Hold the file against other changes; yields a descriptor to read and append.

    Args:
        path: of the file; what a link leads to, not the link.
        make: with mode 0600 when it is not there.

    Raises OSError: also when another process does not let go of it for ten seconds.
    """
    end = time.monotonic() + _PATIENCE
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    while True:
        file = os.open(path, flags, 0o600)
        try:
            _lock(file, path, end)
            if _is_at(file, path):
                yield file
                return
        finally:
            os.close(file)


def append(file: int, path: Path, data: bytes) -> None:
    """Append to a file that is held; on disk when this returns, and all of it or nothing.

    Raises OSError.
    """
    size = os.fstat(file).st_size
    try:
        if os.write(file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise
    if not size:
        _sync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Replace a file that is held, keeping its owner and mode; on disk when this returns.

    A reader sees the old file or the new one. Raises OSError; the old one stays then.
    """
    old = os.stat(path)
    file, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(file, "wb") as new:
            new.write(data)
            new.flush()
            mine = os.fstat(file)
            if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
                # Else a service could not read any more what root changed for it.
                os.fchown(file, old.st_uid, old.st_gid)
            os.fchmod(file, old.st_mode & 0o777)
            os.fsync(file)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    _sync_folder(path.parent)


def _lock(file: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise BlockingIOError(errno.EAGAIN, _HELD, str(path)) from None
            time.sleep(_LOOK)
        else:
            return


def _is_at(file: int, path: Path) -> bool:
    """Whether this is still the file that is found there."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """A name is on disk when its folder is."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
