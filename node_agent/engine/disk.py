"""Looks at the disk of the data directory, frees it, and says so: the I/O of `core.disk`.

The spawner, the executors and the log store report writes that failed (`failed`); `run` looks once
a second, writes now and then, and deletes logs step by step. Everything that touches the disk runs
in a thread: a slow disk does not hold up the event loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import structlog

from node_agent.core.disk import PROBE_SECONDS, Disk, Probe
from node_agent.logs.retention import Sweep
from quorate.runtime.timing.clock import Clock

_log = structlog.get_logger("node_agent.disk")

DEFAULT_RESERVE = 64 << 20
PROBE_FILE = "probe"
# A look that takes this long is a failed write; a machine without CPU needs less.
HUNG_SECONDS = 30.0
# What a probe writes: more than a file system puts into an inode.
_PROBE_BYTES = b"\0" * (16 << 10)
# What more room would help against, and all that says that a disk takes no writes.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DISK_ERRORS = FULL | {errno.EROFS, errno.EIO}
# Of these it is this process or the machine that has too few.
_NOT_THE_DISK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_FREED = "old_logs_deleted_for_space"


class DiskWatch:
    """Whether the data directory can be written. Owned by the agent's loop.

    Args:
        logs: the directory of all logs.
        spared: the directories of attempts that run, whose logs are not deleted.
        on_changed: called when it can be written no longer, and when it can be again.

    Attributes:
        freed: attempts whose logs were deleted to free the disk.
        lost: writes of outputs, arguments or scratch directories that failed.
        changed: set when `error` changed; for the one who reports it.
    """

    def __init__(
        self,
        data: Path,
        logs: Path,
        clock: Clock,
        reserve: int,
        spared: Callable[[], Collection[str]],
        on_changed: Callable[[], None],
    ) -> None:
        self.freed = 0
        self.lost = 0
        self.changed = asyncio.Event()
        self._data = str(data)
        self._logs = logs
        self._clock = clock
        self._spared = spared
        self._on_changed = on_changed
        self._disk = Disk(reserve)
        self._reported = ""
        self._wake = asyncio.Event()

    @property
    def error(self) -> str:
        """Why it cannot be written; empty while it can."""
        return self._disk.error

    def failed(self, number: int | None) -> bool:
        """A write of the agent failed with this errno. Whether the disk is why; if so, note it."""
        if number not in DISK_ERRORS:
            return False
        self.lost += 1
        self._disk.on_write_failed(
            os.strerror(number), full=number in FULL, now=self._clock.monotonic()
        )
        self._report()
        self._wake.set()
        return True

    async def run(self) -> None:
        """Look and free for ever."""
        while True:
            await self.look()
            freed = await self._free()
            if freed:
                continue  # it may be enough
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), PROBE_SECONDS)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Look once."""
        writes = self._disk.wants_write(self._clock.monotonic())
        look = partial(probe_of, self._data, writes=writes, careful=bool(self.error))
        probing = asyncio.ensure_future(asyncio.to_thread(look))
        while not (await asyncio.wait((probing,), timeout=HUNG_SECONDS))[0]:
            # A server of files that is away: whoever writes there hangs, too.
            why = f"it has not answered for {HUNG_SECONDS:g} s"
            self._disk.on_write_failed(why, full=False, now=self._clock.monotonic())
            self._report()
        self._disk.on_probed(probing.result(), wrote=writes, now=self._clock.monotonic())
        self._report()

    async def _free(self) -> int:
        """Delete what is short; of how many attempts."""
        shortage = self._disk.shortage(self._clock.monotonic())
        if shortage is None:
            return 0
        sweep = Sweep(self._logs, shortage)
        while not sweep.done:
            self.freed += await asyncio.to_thread(sweep.step, frozenset(self._spared()))
        self._disk.on_swept(sweep.attempts, self._clock.monotonic())
        _log_freed(sweep)
        return sweep.attempts

    def _report(self) -> None:
        error = self._disk.error
        if bool(error) != bool(self._reported):
            if error:
                _log.error("disk_unwritable", why=error)
            else:
                _log.warning("disk_writable", was=self._reported)
            self._reported = error
            self.changed.set()
            self._on_changed()


def make_room(data: Path, logs: Path, reserve: int) -> None:
    """Delete the oldest logs of a disk that is nearly full, before an agent starts on it. Blocks.

    Without it there may be no room for the directories that a start makes.
    """
    disk = Disk(reserve)
    disk.on_probed(probe_of(str(data), writes=True, careful=False), wrote=True, now=0.0)
    if (shortage := disk.shortage(0.0)) is None:
        return
    sweep = Sweep(logs, shortage)
    while not sweep.done:
        sweep.step(())
    _log_freed(sweep)


def _log_freed(sweep: Sweep) -> None:
    if sweep.attempts:
        _log.warning(_FREED, attempts=sweep.attempts, bytes=sweep.bytes)


def probe_of(data: str, *, writes: bool, careful: bool) -> Probe:
    """Look at a directory's file system; `writes` a small file, `careful`: down to the disk."""
    try:
        found = os.statvfs(data)
    except OSError as error:
        return Probe(0, 0, error=_why(error), full=False)
    why, full = "", False
    if found.f_flag & os.ST_RDONLY:
        why = os.strerror(errno.EROFS)
    elif writes:
        try:
            _write(os.path.join(data, PROBE_FILE), careful)
        except OSError as error:
            if error.errno not in _NOT_THE_DISK:
                why, full = _why(error), error.errno in FULL
    block = found.f_frsize
    return Probe(
        found.f_bavail * block, found.f_blocks * block, found.f_favail, found.f_files, why, full
    )


def _write(path: str, careful: bool) -> None:
    """Write a file and delete it. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        rest = memoryview(_PROBE_BYTES)
        while rest:
            rest = rest[os.write(file, rest) :]
        if careful:
            os.fdatasync(file)
    finally:
        try:
            os.unlink(path)
        finally:
            os.close(file)


def _why(error: OSError) -> str:
    return error.strerror or str(error)
