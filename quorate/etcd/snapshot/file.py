"""The file of a backup: what `quorate backup` writes and `quorate restore` reads.

```
magic "QUORATE BACKUP\\n"
frame: length of the payload (4 bytes, big-endian) | digest (32 bytes) | payload (BackupFrame)
first frame: header    then: chunks, in the order of keys    last frame: trailer    end of file
```

A frame's digest is BLAKE2b-256 of the digest before it and its payload, so a frame that is
changed, lost, repeated or moved does not fit; the last digest names the whole file. A file without
trailer is no backup: it was cut off.

`SnapshotWriter` owns a temporary file beside the target, mode 0600, which takes the target's name
only when all of it is on disk, and never that of a file which is there already. `SnapshotReader`
owns nothing but an open file; it trusts no length that it reads.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import grpc
from google.protobuf.message import DecodeError

from quorate.internal.v1.backup_pb2 import (
    BackupChunk,
    BackupFrame,
    BackupHeader,
    BackupRecord,
    BackupTrailer,
)
from quorate.runtime.errors import QuorateError, already_exists

FORMAT: Final = 1
MAGIC: Final = b"QUORATE BACKUP\n"
# A chunk is closed at this size; one record (etcd's limit: 1.5 MiB) may take it beyond.
CHUNK_BYTES: Final = 512 << 10
MAX_FRAME_BYTES: Final = 4 << 20
_LENGTH_BYTES: Final = 4
_DIGEST_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_DIGEST_BYTES)


def _chained(before: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(before + payload, digest_size=_DIGEST_BYTES).digest()


class SnapshotWriter:
    """Writes one backup. Use it as a context manager: only `finish` leaves a file behind.

    Attributes:
        records: how many were added.
        size: bytes written so far.

    Raises:
        QuorateError: FILE_ALREADY_EXISTS. OSError: the file cannot be written.
    """

    def __init__(self, target: Path, header: BackupHeader) -> None:
        self._target = target
        self.records = 0
        self.size = 0
        self._digest = _NO_DIGEST
        self._chunk = BackupChunk()
        self._chunk_bytes = 0
        if target.exists():
            raise already_exists("file", str(target))
        # mkstemp's mode is 0600: the backup holds whatever users gave their tasks.
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        self._temporary = Path(name)
        self._file: BinaryIO = os.fdopen(number, "wb")
        self._write(MAGIC)
        self._add(BackupFrame(header=header))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, key: bytes, value: bytes) -> None:
        """One record; `key` without the cluster's prefix."""
        self._chunk.records.add(key=key, value=value)
        self._chunk_bytes += len(key) + len(value)
        self.records += 1
        if self._chunk_bytes >= CHUNK_BYTES:
            self._close_chunk()

    def finish(self) -> bytes:
        """Make the file whole and give it its name. Its digest."""
        self._close_chunk()
        self._add(BackupFrame(trailer=BackupTrailer(records=self.records)))
        self._file.flush()
        os.fsync(self._file.fileno())
        try:
            # Unlike a rename it fails when somebody made the target meanwhile.
            os.link(self._temporary, self._target)
        except FileExistsError:
            raise already_exists("file", str(self._target)) from None
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._digest

    def _close_chunk(self) -> None:
        if self._chunk.records:
            self._add(BackupFrame(chunk=self._chunk))
        self._chunk = BackupChunk()
        self._chunk_bytes = 0

    def _add(self, frame: BackupFrame) -> None:
        payload = frame.SerializeToString()
        self._digest = _chained(self._digest, payload)
        self._write(len(payload).to_bytes(_LENGTH_BYTES, "big") + self._digest + payload)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)


class SnapshotReader:
    """Reads one backup.

    Attributes:
        header: what the backup is of.
        digest: names the content; known once all records were read.

    Raises:
        QuorateError: BACKUP_DAMAGED, naming the place; BACKUP_FORMAT_UNKNOWN. OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digest = b""
        with path.open("rb") as file:
            first = next(self._frames(file), None)
        if first is None or first[0].WhichOneof("content") != "header":
            raise self._damaged("it has no header", len(MAGIC))
        self.header = first[0].header
        if self.header.format != FORMAT:
            raise QuorateError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "BACKUP_FORMAT_UNKNOWN",
                f"{path} is a backup of format {self.header.format}; this program reads {FORMAT}",
            )

    def verify(self) -> int:
        """Read all of it; how many records there are."""
        return sum(1 for _ in self.records())

    def records(self) -> Iterator[BackupRecord]:
        """Every record, checked as it is read; the last one only when the trailer fits too."""
        seen, whole, last = 0, False, b""
        with self._path.open("rb") as file:
            for number, (frame, digest) in enumerate(self._frames(file)):
                content = frame.WhichOneof("content")
                if whole or content is None or (content == "header") != (number == 0):
                    raise self._damaged(f"frame {number} does not belong there", file.tell())
                if content == "trailer":
                    whole = True
                    self.digest = digest
                    if frame.trailer.records != seen:
                        raise self._damaged(
                            f"{seen} records instead of {frame.trailer.records}", file.tell()
                        )
                for record in frame.chunk.records if content == "chunk" else ():
                    if record.key <= last:
                        raise self._damaged("its keys are out of order", file.tell())
                    last = record.key
                    seen += 1
                    yield record
            if not whole:
                raise self._damaged("it was cut off", file.tell())

    def _frames(self, file: BinaryIO) -> Iterator[tuple[BackupFrame, bytes]]:
        if file.read(len(MAGIC)) != MAGIC:
            raise self._damaged("it is no backup of quorate's", 0)
        digest = _NO_DIGEST
        while True:
            at = file.tell()
            head = file.read(_LENGTH_BYTES + _DIGEST_BYTES)
            if not head:
                return
            length = int.from_bytes(head[:_LENGTH_BYTES], "big")
            if len(head) < _LENGTH_BYTES + _DIGEST_BYTES or length > MAX_FRAME_BYTES:
                raise self._damaged("a frame's head is wrong", at)
            payload = file.read(length)
            digest = _chained(digest, payload)
            if len(payload) < length or digest != head[_LENGTH_BYTES:]:
                raise self._damaged("a checksum does not fit", at)
            try:
                frame = BackupFrame.FromString(payload)
            except DecodeError:
                raise self._damaged("a frame cannot be read", at) from None
            yield frame, digest

    def _damaged(self, what: str, at: int) -> QuorateError:
        return QuorateError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "BACKUP_DAMAGED",
            f"{self._path} cannot be restored: {what} (byte {at})",
            metadata={"file": str(self._path), "byte": str(at)},
        )
