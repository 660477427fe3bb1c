"""What attempts wrote, on this node's disk.

```
<data>/logs/<task>/<attempt>/stdout     O_APPEND; missing when nothing was written
                             stderr
<data>/spool/<n>.out  <n>.err           outputs of running programs; moved to logs/ when not empty
```

A file's offsets are bytes ever written. One that outgrows its cap keeps its first and its last
half: the middle is given back to the file system as a hole (`trim`), so writers need not be asked
and readers skip it. Where the file system has no holes, what exceeds the cap is cut off.

Programs write into spool files that are used again while they stay empty, as most programs write
nothing and making directories would cost more than running them.

Owned by the agent's loop; retention by age and size is in `log_retention`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger("node_agent.logs")

STDOUT = "stdout"
STDERR = "stderr"
STREAMS = (STDOUT, STDERR)
DEFAULT_CAP = 16 * 1024 * 1024
# Attempts remembered although they wrote nothing: "no output" is told from "unknown".
MAX_REMEMBERED = 50_000
_BLOCK = 4096
_COPY = 1 << 20
# With what we open files that tasks write to. Not blocking: a task may hold a lease on its file,
# for which we would wait until the kernel's patience is over (45 s).
WARY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Directories on the way to what an attempt of another user may open: passed through, not listed.
PASSABLE = 0o711
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


@dataclass(slots=True)
class Spool:
    """The two outputs of one running program."""

    out: str
    err: str

    def path(self, stream: str) -> str:
        """The file of a stream."""
        return self.out if stream == STDOUT else self.err


class LogStore:
    """All logs of a node.

    Args:
        data: the agent's data directory.
        cap: bytes kept of each stream of an attempt.
        user: whom attempts run as (user and group id), where that is not ourselves. It may write
            the files that we make for it, and nothing but those: all directories are ours, so that
            no link of its making is ever followed.
    """

    def __init__(
        self, data: Path, cap: int = DEFAULT_CAP, user: tuple[int, int] | None = None
    ) -> None:
        self._user = user
        self.root = data / "logs"
        self._spool_root = data / "spool"
        self._cap = cap
        self._free: list[Spool] = []
        self._made = 0
        # Spools of running programs.
        self._running: dict[tuple[str, int], Spool] = {}
        # Latest attempt number of each task seen lately. Not a dict: finding the oldest of one
        # that always loses its oldest gets slow (11 us).
        self._latest: OrderedDict[str, int] = OrderedDict()
        shutil.rmtree(self._spool_root, ignore_errors=True)
        self._spool_root.mkdir(parents=True)
        self.root.mkdir(exist_ok=True)
        if user is not None:
            for directory in (data, self._spool_root, self.root):
                directory.chmod(PASSABLE)

    def directory(self, task_id: str, number: int) -> Path:
        """Where an attempt's files are, or would be."""
        return self.root / task_id / str(number)

    def remember(self, task_id: str, number: int) -> None:
        """Note that an attempt ran here."""
        latest = self._latest
        if task_id not in latest and len(latest) >= MAX_REMEMBERED:
            latest.popitem(last=False)
        latest[task_id] = number

    def latest(self, task_id: str) -> int | None:
        """The newest attempt of a task known here, or None."""
        number = self._latest.get(task_id)
        if number is not None:
            return number
        if not _is_name(task_id):
            return None
        try:
            return max((int(name) for name in os.listdir(self.root / task_id)), default=None)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def knows(self, task_id: str, number: int) -> bool:
        """Whether this attempt ran here, as far as is remembered."""
        return self._latest.get(task_id) == number or (
            _is_name(task_id) and self.directory(task_id, number).is_dir()
        )

    def path(self, task_id: str, number: int, stream: str) -> str:
        """The file that holds a stream now; it may not exist."""
        spool = self._running.get((task_id, number))
        if spool is not None:
            return spool.path(stream)
        return str(self.directory(task_id, number) / stream)

    # -- calls ---------------------------------------------------------------------------------

    def prepare(self, task_id: str, number: int) -> None:
        """Make the files of an attempt in a worker that may not make them itself."""
        if self._user is None:
            return
        directory = self.directory(task_id, number)
        directory.mkdir(parents=True, exist_ok=True)
        for folder in (directory.parent, directory):
            folder.chmod(PASSABLE)
        for stream in STREAMS:
            file = os.open(directory / stream, os.O_WRONLY | os.O_CREAT | WARY, 0o600)
            os.fchown(file, *self._user)
            os.close(file)

    def settle(self, task_id: str, number: int) -> None:
        """An attempt that was prepared is over: delete the files it did not write to."""
        if self._user is None:
            return
        directory = self.directory(task_id, number)
        for stream in STREAMS:
            path = directory / stream
            try:
                if not path.stat().st_size:
                    path.unlink()
            except FileNotFoundError:
                pass  # deleted by retention
        for folder in (directory, directory.parent):
            try:
                folder.rmdir()
            except OSError:
                return  # something was written, here or by another attempt

    # -- programs ------------------------------------------------------------------------------

    def open_spool(self, task_id: str, number: int) -> Spool:
        """Output files for a program; closed with `close_spool`."""
        if self._free:
            spool = self._free.pop()
        else:
            self._made += 1
            stem = str(self._spool_root / str(self._made))
            spool = Spool(f"{stem}.out", f"{stem}.err")
        self._running[task_id, number] = spool
        return spool

    def close_spool(self, task_id: str, number: int) -> None:
        """The program has ended: keep what it wrote."""
        self.adopt_spool(task_id, number, task_id, number)

    def adopt_spool(self, task_id: str, number: int, to_task_id: str, to_number: int) -> None:
        """As `close_spool`, but what was written belongs to another attempt."""
        spool = self._running.pop((task_id, number))
        for stream in STREAMS:
            path = spool.path(stream)
            try:
                size = os.stat(path).st_size
            except FileNotFoundError:
                continue  # the program never started
            if size:
                try:
                    self._adopt(path, size, self.directory(to_task_id, to_number) / stream)
                except OSError as error:
                    # A full disk, or a lease: the attempt's outcome counts more, and what it wrote
                    # must not be taken for the next one's.
                    _log.error("outputs are lost", path=path, error=str(error))
                    os.unlink(path)
        self._free.append(spool)

    def _adopt(self, path: str, size: int, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # A worker's last words, behind what its attempt already wrote. No more than is kept:
            # a file may be terabytes of nothing, or grow while it is copied.
            left = min(size, self._cap)
            with (
                open(os.open(path, os.O_RDONLY | WARY), "rb") as source,
                open(os.open(target, os.O_WRONLY | os.O_APPEND | WARY), "ab") as file,
            ):
                source.seek(size - left)
                while left and (data := source.read(min(left, _COPY))):
                    left -= file.write(data)
            os.unlink(path)
        else:
            os.rename(path, target)
        if size > self._cap:
            self.trim(str(target))

    # -- caps ----------------------------------------------------------------------------------

    def trim(self, path: str, slack: int = 2 * _BLOCK) -> None:
        """Hold a file to the cap, give or take `slack` bytes; cheap when it is below."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return
        if status.st_size <= self._cap or status.st_blocks * 512 <= self._cap + slack:
            return
        start = -(-self._cap // 2 // _BLOCK) * _BLOCK
        end = (status.st_size - self._cap // 2) // _BLOCK * _BLOCK
        if end <= start:
            return
        try:
            descriptor = os.open(path, os.O_WRONLY | WARY)
        except BlockingIOError:
            return  # under a lease: next time, and when the attempt has ended
        try:
            if not _punch(descriptor, start, end - start):
                os.ftruncate(descriptor, self._cap)
        finally:
            os.close(descriptor)

    def trim_running(self, others: Iterator[tuple[str, int]]) -> None:
        """Hold the outputs of running attempts to the cap: programs', and `others`."""
        slack = self._cap // 4
        for spool in self._running.values():
            self.trim(spool.out, slack)
            self.trim(spool.err, slack)
        for task_id, number in others:
            for stream in STREAMS:
                self.trim(str(self.directory(task_id, number) / stream), slack)


def _is_name(task_id: str) -> bool:
    """Whether a task id from outside is safe as the name of a directory."""
    return bool(task_id) and task_id.isalnum() and len(task_id) <= 128


def _punch(descriptor: int, start: int, length: int) -> bool:
    """Give back a range of a file, its size unchanged (fallocate(2)); False if unsupported."""
    libc = ctypes.CDLL(None, use_errno=True)
    code: int = libc.fallocate(
        descriptor, _KEEP_SIZE_PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(length)
    )
    return code == 0
