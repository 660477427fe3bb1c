"""Whether the node's disk takes what is written to it, and what is done when it does not.

```
              a write failed, or less than the reserve is free
 WRITABLE ------------------------------------------------------> UNWRITABLE
     ^                                                                |
     +--- for `hold` seconds every probe could write, no write -------+
          failed, and twice the reserve was free
```

An unwritable node takes no new work; what runs goes on. Old logs are deleted already when less than
twice the reserve is free, so that logs alone do not make a node unwritable; the newest, as many
bytes as the reserve, are kept as long as work is taken, in case something else fills the disk.
`hold` is HOLD_SECONDS, and twice as long after each relapse, so that a disk at its edge does not
change every few seconds; nothing when logs were deleted, as then the reason is gone.

Calls are events; times are monotonic seconds. Who writes, probes and deletes is
`node_agent.engine.disk`.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate.runtime.sizes import size_text

# Longer than a probe's period, so that one lucky write does not end it.
HOLD_SECONDS = 3.0
MAX_HOLD_SECONDS = 60.0
# A relapse is what comes within this time after the end of the last trouble.
RELAPSE_SECONDS = 120.0
# Probes: a look at what is free each time, a real write in trouble and else every so many seconds.
PROBE_SECONDS = 1.0
WRITE_SECONDS = 10.0
# When there was nothing to delete, logs are looked through again after this long.
NOTHING_LEFT_SECONDS = 30.0
# The reserve is at most this part of a file system; of files (inodes) that and MAX_SPARE_FILES.
SHARE_OF_ALL = 20
MAX_SPARE_FILES = 1000


@dataclass(frozen=True, slots=True)
class Probe:
    """What a look at the disk found. Bytes and files: what is free, and all; 0 in all: no limit."""

    free: int
    total: int
    free_files: int = 0
    total_files: int = 0
    # Why a write failed, and whether more room would help; empty when none failed or was tried.
    error: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Shortage:
    """So much is to be deleted, of the oldest logs; the newest stay, up to `keep` bytes."""

    bytes: int
    files: int
    keep: int = 0


class Disk:
    """One node's disk.

    Args:
        reserve: bytes that stay free while work is taken; less on a small file system. 0: only
            writes that fail count, whatever the file system says is free.

    Attributes:
        error: why it cannot be written, for people; empty while it can. The text changes only when
            the reason does.
    """

    def __init__(self, reserve: int) -> None:
        self.error = ""
        self._reserve = reserve
        self._hold = HOLD_SECONDS
        # Not before this may it be writable again.
        self._until = 0.0
        self._recovered_at: float | None = None
        # Logs were deleted in this trouble, or in the last one.
        self._relieved = False
        self._written_at: float | None = None
        self._swept_in_vain_at: float | None = None
        # A write failed for want of room, whatever the file system says of its room (a quota):
        # that much is deleted once.
        self._failed_full = False
        self._shortage: Shortage | None = None

    # -- events --------------------------------------------------------------------------------

    def on_write_failed(self, error: str, *, full: bool, now: float) -> None:
        """A write to the data directory failed; `full`: for want of room."""
        self._failed_full = self._failed_full or full
        self._trouble(error, now)

    def on_probed(self, probe: Probe, *, wrote: bool, now: float) -> None:
        """A look at the disk, with a real write (`wrote`) or without."""
        if wrote:
            self._written_at = now
        reserve = min(self._reserve, probe.total // SHARE_OF_ALL)
        files = min(MAX_SPARE_FILES, probe.total_files // SHARE_OF_ALL) if self._reserve else 0
        if probe.error:
            self.on_write_failed(probe.error, full=probe.full, now=now)
        elif probe.free < reserve:
            self._trouble(f"less than {size_text(reserve)} free", now)
        elif probe.total_files and probe.free_files < files:
            self._trouble(f"fewer than {files} inodes free", now)
        elif self.error:
            plenty = probe.free >= 2 * reserve and (
                not probe.total_files or probe.free_files >= 2 * files
            )
            if not plenty:
                self._until = max(self._until, now + self._hold)
            elif wrote and now >= self._until:
                self.error = ""
                self._recovered_at = now
        self._shortage = self._short(probe, reserve, files)

    def on_swept(self, deleted: int, now: float) -> None:
        """The oldest logs were deleted, of so many attempts: as `shortage` asked, or all."""
        self._failed_full = False
        self._shortage = None
        self._swept_in_vain_at = None if deleted else now
        if deleted and self.error:
            self._until = now
            self._relieved = True

    # -- what follows --------------------------------------------------------------------------

    def wants_write(self, now: float) -> bool:
        """Whether the next look should write, too."""
        if self.error or self._written_at is None:
            return True
        return now - self._written_at >= WRITE_SECONDS

    def shortage(self, now: float) -> Shortage | None:
        """What has to be deleted now, as of the last look."""
        vain = self._swept_in_vain_at
        if vain is not None and now - vain < NOTHING_LEFT_SECONDS:
            return None
        return self._shortage

    # -- inside --------------------------------------------------------------------------------

    def _trouble(self, error: str, now: float) -> None:
        if not self.error:
            recovered = self._recovered_at
            if recovered is None or now - recovered >= RELAPSE_SECONDS:
                self._hold = HOLD_SECONDS
            elif not self._relieved:
                self._hold = min(2 * self._hold, MAX_HOLD_SECONDS)
            self._relieved = False
            self._swept_in_vain_at = None
        self.error = error
        self._until = now + self._hold

    def _short(self, probe: Probe, reserve: int, files: int) -> Shortage | None:
        """What is missing to three times the reserve, when less than twice of it is free."""
        short_bytes = short_files = 0
        if probe.free < 2 * reserve:
            short_bytes = 3 * reserve - probe.free
        if probe.total_files and probe.free_files < 2 * files:
            short_files = 3 * files - probe.free_files
        if self._failed_full and not short_bytes and not short_files:
            short_bytes = max(reserve, 1)
        if not short_bytes and not short_files:
            return None
        return Shortage(short_bytes, short_files, 0 if self.error else reserve)
