"""What attempts wrote, on this node's disk.

```
<data>/logs/<task>/<attempt>/stdout     missing when nothing was written
                             stderr
                             index      when which piece was written, see `executors.pump`
<data>/spool/<lane>-<n>.<m>/            of what a worker calls now; moved to logs/ when it has ended
```

The spawner writes; nothing is made before the first byte, as most programs write nothing. A file's
offsets are bytes ever written. One that outgrows its cap keeps its first and its last half: the
middle is given back to the file system as a hole (`trim`), so the writer need not be asked and
readers skip it. Where the file system has no holes, what exceeds the cap is cut off.

Owned by the agent's loop; retention by age and size is in `log_retention`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog

_log = structlog.get_logger("node_agent.logs")

STDOUT = "stdout"
STDERR = "stderr"
STREAMS = (STDOUT, STDERR)
DEFAULT_CAP = 256 << 20
# Attempts remembered although they wrote nothing, or half as many: "no output" differs from
# "unknown".
MAX_REMEMBERED = 50_000
# Calls that are remembered because they may have left somebody who writes.
MAX_LATE = 1000
_BLOCK = 4096
_COPY = 1 << 20
# With what we open the files of logs. Not blocking: a task of our own user may hold a lease on one
# (fcntl(2)), for which we would wait until the kernel's patience is over (45 s).
WARY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Directories on the way to what an attempt of another user may open: passed through, not listed.
PASSABLE = 0o711
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


class Place(NamedTuple):
    """Where an attempt's files are.

    Attributes:
        sure: whether what is there is this attempt's. If not, ask `LogStore.confirm` after a read.
    """

    directory: str
    sure: bool


class LogStore:
    """All logs of a node.

    Args:
        data: the agent's data directory.
        cap: bytes kept of each stream of an attempt.
        private: whether attempts run as another user, who passes through our directories.
    """

    def __init__(self, data: Path, cap: int = DEFAULT_CAP, *, private: bool = False) -> None:
        self.root = data / "logs"
        self._spool_root = data / "spool"
        self._cap = cap
        # On disk, as the last clean-up found them.
        self.bytes = 0
        self._made = 0
        self._called: Callable[[str, int], str | None] = lambda _task_id, _number: None
        self._write_failed: Callable[[int | None], bool] = lambda _errno: False
        # Programs that run, and their directories.
        self._running: dict[tuple[str, int], str] = {}
        # Latest attempt number of each task seen lately, and of those seen before: both together
        # are MAX_REMEMBERED at most. To forget them one by one takes five times as long.
        self._latest: dict[str, int] = {}
        self._before: dict[str, int] = {}
        # Calls that used their outputs and wrote nothing, by the directory that there is none of.
        self._late: OrderedDict[str, tuple[str, int]] = OrderedDict()
        shutil.rmtree(self._spool_root, ignore_errors=True)
        self._spool_root.mkdir(parents=True)
        self.root.mkdir(exist_ok=True)
        if private:
            for directory in (data, self._spool_root):
                directory.chmod(PASSABLE)
            self.root.chmod(0o700)

    def follow_workers(self, called: Callable[[str, int], str | None]) -> None:
        """Ask `called` for the directory of an attempt that a worker is at; None: none is."""
        self._called = called

    def follow_disk(self, write_failed: Callable[[int | None], bool]) -> None:
        """Tell `write_failed` the errno of a failed write; it returns whether the disk is why."""
        self._write_failed = write_failed

    def directory(self, task_id: str, number: int) -> Path:
        """Where an attempt's files are, or would be."""
        return self.root / task_id / str(number)

    def remember(self, task_id: str, number: int) -> None:
        """Note that an attempt ran here."""
        latest = self._latest
        if len(latest) >= MAX_REMEMBERED // 2:
            self._before = latest
            latest = self._latest = {}
        latest[task_id] = number

    def latest(self, task_id: str) -> int | None:
        """The newest attempt of a task known here, or None."""
        number = self._remembered(task_id)
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
        return self._remembered(task_id) == number or (
            _is_name(task_id) and self.directory(task_id, number).is_dir()
        )

    def _remembered(self, task_id: str) -> int | None:
        number = self._latest.get(task_id)
        return self._before.get(task_id) if number is None else number

    def place(self, task_id: str, number: int) -> Place:
        """Where an attempt's files are now; they may not exist."""
        if (task_id, number) not in self._running:
            called = self._called(task_id, number)
            if called is not None:
                return Place(called, sure=False)
        return Place(str(self.root / task_id / str(number)), sure=True)

    def path(self, task_id: str, number: int, stream: str) -> str:
        """The file of a stream, as far as `place` knows; it may not exist."""
        return f"{self.place(task_id, number).directory}/{stream}"

    def confirm(self, task_id: str, number: int, place: Place) -> bool:
        """Whether what was read there before this call is the attempt's."""
        return place.sure or self._called(task_id, number) == place.directory

    @property
    def running(self) -> Collection[str]:
        """The directories of programs that run."""
        return self._running.values()

    # -- programs ------------------------------------------------------------------------------

    def begin(self, task_id: str, number: int) -> str:
        """The directory for the outputs of a program; `end` follows."""
        path = self._running[task_id, number] = f"{self.root}/{task_id}/{number}"
        return path

    def end(self, task_id: str, number: int) -> None:
        """The program has ended, and all that it wrote is there."""
        self._trim_directory(self._running.pop((task_id, number)))

    # -- calls ---------------------------------------------------------------------------------

    def worker_stem(self, lane: int) -> str:
        """For the outputs of a new worker, which become attempts' with `adopt`."""
        self._made += 1
        return f"{self._spool_root}/{lane}-{self._made}"

    def adopt(self, directory: str, task_id: str, number: int) -> None:
        """What is in a directory, if there is one, belongs to an attempt."""
        target = self.directory(task_id, number)
        try:
            try:
                os.rename(directory, target)
            except FileNotFoundError:
                if not os.path.isdir(directory):
                    # Nothing was written; by what it left behind, something may be.
                    self._late[directory] = (task_id, number)
                    if len(self._late) > MAX_LATE:
                        self._late.popitem(last=False)
                    return
                target.parent.mkdir(exist_ok=True)
                os.rename(directory, target)
        except OSError as error:
            if self._write_failed(error.errno):
                # No room for a directory: even less for a copy.
                _log.error("outputs_lost", path=directory, error=str(error))
                self.discard(directory)
                return
            self._append(directory, target)
        self._trim_directory(str(target))

    def adopt_late(self, directory: str) -> None:
        """Something was written after all."""
        attempt = self._late.pop(directory, None)
        if attempt is not None:
            self.adopt(directory, *attempt)
        else:
            self.discard(directory)

    def discard(self, directory: str) -> None:
        """Nobody wants what is in a worker's directory."""
        shutil.rmtree(directory, ignore_errors=True)

    def _append(self, directory: str, target: Path) -> None:
        """Add to what the same attempt wrote here before: it was returned, and is here again."""
        for stream in STREAMS:
            path = os.path.join(directory, stream)
            try:
                source = open(os.open(path, os.O_RDONLY | WARY), "rb")  # noqa: SIM115
            except FileNotFoundError:
                continue
            except OSError as error:
                self._lost(path, error)
                continue
            with source:
                try:
                    self._copy_end(source, target / stream)
                except OSError as error:
                    self._lost(path, error)
        self.discard(directory)

    def _copy_end(self, source: BinaryIO, target: Path) -> None:
        """Append no more than is kept: the beginning goes. Raises OSError."""
        left = min(os.fstat(source.fileno()).st_size, self._cap)
        source.seek(-left, os.SEEK_END)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | WARY
        with open(os.open(target, flags, 0o600), "ab") as file:
            while left and (data := source.read(min(left, _COPY))):
                left -= file.write(data)

    def _lost(self, path: str, error: OSError) -> None:
        # A full disk, or a lease: the attempt's outcome counts more.
        _log.error("outputs_lost", path=path, error=str(error))
        self._write_failed(error.errno)

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

    def trim_running(self, others: Iterable[tuple[str, int]]) -> None:
        """Hold the outputs of running attempts to the cap: programs', and `others`."""
        slack = self._cap // 4
        for directory in self._running.values():
            self._trim_directory(directory, slack)
        for task_id, number in others:
            self._trim_directory(self.place(task_id, number).directory, slack)

    def _trim_directory(self, directory: str, slack: int = 2 * _BLOCK) -> None:
        for stream in STREAMS:
            with suppress(OSError):
                self.trim(f"{directory}/{stream}", slack)


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
