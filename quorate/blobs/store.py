"""Objects in a blob store: written once, verified when read.

Blocks: call it from a thread. Thread-safe, as the file systems of `fsspec` are.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from quorate.blobs.names import SHA256, UPLOAD, Blob, upload_id
from quorate.blobs.urls import PACKAGES, check_url

CORRUPT: Final = "BLOB_CORRUPT"
NOT_FOUND: Final = "BLOB_NOT_FOUND"
UNAVAILABLE: Final = "BLOB_STORE_UNAVAILABLE"
# Bytes read or written at a time; of a value that a file in memory holds.
_PIECE: Final = 8 << 20
_SMALL: Final = 16 << 20
# Names of one page of a listing.
PAGE: Final = 1_000
# Says whose store it is: two clusters in one would delete each other's objects.
_OWNER: Final = "quorate-cluster"
# Listings are asked for by the first digits of the digests.
_HEX: Final = "0123456789abcdef"


class BlobError(Exception):
    """A value cannot be read or written.

    `reason`: BLOB_CORRUPT (other bytes than were written), BLOB_NOT_FOUND (deleted),
    BLOB_STORE_UNAVAILABLE (the store cannot be reached, read or written).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class BlobStore:
    """One store.

    Args:
        url: such as `file:///srv/blobs` or `s3://bucket/folder`.

    Raises:
        ValueError: the URL is none of a store.
        BlobError: what its scheme needs is not installed, or it refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = check_url(url)
        scheme = self.url.partition(":")[0]
        self._local = scheme == "file"
        with self._typed("opened"):
            try:
                import fsspec
                from fsspec.core import url_to_fs

                fsspec.get_filesystem_class(scheme)
            except ImportError as error:
                package = PACKAGES[scheme] or "fsspec"
                raise BlobError(
                    UNAVAILABLE,
                    f"{self.url}: the package {package} is not installed ({error}); "
                    f"install it with: pip install {package}",
                ) from None
            options: dict[str, Any] = {} if self._local else {"use_listings_cache": False}
            self._fs, root = url_to_fs(self.url, **options)
            self._root = str(root).rstrip("/")

    def put(self, data: bytes | memoryview, sha256: str = "") -> Blob:
        """Upload bytes under a new name; on disk, or wherever the store keeps it, on return.

        Args:
            sha256: their digest in hex, where it is known: it takes a second for a GiB.

        Raises BlobError BLOB_STORE_UNAVAILABLE.
        """
        view = memoryview(data)
        digest = sha256 or hashlib.sha256(view).hexdigest()
        blob = Blob(digest, upload_id(time.time(), secrets.randbits(74)), len(view))
        with self._typed("written"):
            try:
                self._write(blob, view)
            except FileNotFoundError:
                if not self._local or not os.path.isdir(self._root):
                    raise
                # A sweep has just removed the folder, empty, of an old upload of the same bytes.
                self._write(blob, view)
        return blob

    def _write(self, blob: Blob, view: memoryview) -> None:
        if self._local:
            self._make_folder(blob.sha256)
        with self._fs.open(f"{self._root}/{blob.name}", "wb") as file:
            for begin in range(0, len(view), _PIECE):
                file.write(view[begin : begin + _PIECE])
            if self._local:
                file.flush()
                os.fsync(file.fileno())
        if self._local:
            _sync_folder(f"{self._root}/{blob.sha256}")

    def get(self, blob: Blob) -> IO[bytes]:
        """A temporary file with its bytes, verified, at its beginning; in memory if small.

        Raises BlobError.
        """
        with self._typed("read"):
            # Not given to anybody but the caller, who closes it.
            held: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_SMALL)  # noqa: SIM115
            try:
                self._copy(blob, held)
            except BaseException:
                held.close()
                raise
        held.seek(0)
        return held

    def _copy(self, blob: Blob, held: IO[bytes]) -> None:
        digest, left = hashlib.sha256(), blob.size
        try:
            with self._fs.open(f"{self._root}/{blob.name}", "rb", cache_type="none") as file:
                while piece := file.read(min(_PIECE, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        break
                    digest.update(piece)
                    held.write(piece)
        except FileNotFoundError:
            if self._local and not os.path.isdir(self._root):
                raise
            raise BlobError(
                NOT_FOUND,
                f"{blob.name} is not in {self.url}: it was deleted, or never written there",
            ) from None
        if left or digest.hexdigest() != blob.sha256:
            raise BlobError(
                CORRUPT, f"{blob.name} in {self.url} does not hold the bytes that were written"
            )

    def claim(self, cluster: str) -> str:
        """Whose store it is: `cluster`'s if it is nobody's so far. Raises BlobError."""
        path = f"{self._root}/{_OWNER}"
        with self._typed("read"):
            try:
                found: bytes = self._fs.cat_file(path)
            except FileNotFoundError:
                if self._local and not os.path.isdir(self._root):
                    raise
                self._fs.pipe_file(path, cluster.encode())
                return cluster
        return found[:256].decode(errors="replace")

    def pages(self) -> Iterator[list[tuple[str, str]]]:
        """All (digest, upload) in it, in pages of at most 1,000; other files are left out.

        A local store is read as its folders come. Of others each listing is of the digests that
        begin with the same two digits, a 256th of all. Raises BlobError.
        """
        page: list[tuple[str, str]] = []
        names = self._local_names() if self._local else self._remote_names()
        with self._typed("listed"):
            for digest, upload in names:
                if SHA256.fullmatch(digest) and UPLOAD.fullmatch(upload):
                    page.append((digest, upload))
                    if len(page) == PAGE:
                        yield page
                        page = []
        if page:
            yield page

    def _local_names(self) -> Iterator[tuple[str, str]]:
        with os.scandir(self._root) as folders:
            for folder in folders:
                if SHA256.fullmatch(folder.name):
                    for upload in os.listdir(folder.path):
                        yield folder.name, upload

    def _remote_names(self) -> Iterator[tuple[str, str]]:
        for first in _HEX:
            for second in _HEX:
                for path in self._fs.find(self._root, prefix=first + second):
                    digest, _, upload = str(path)[len(self._root) + 1 :].partition("/")
                    yield digest, upload

    def delete(self, names: list[tuple[str, str]]) -> int:
        """Delete objects; those that are gone count too. Raises BlobError."""
        with self._typed("deleted"):
            if not self._local:
                self._fs.rm([f"{self._root}/{digest}/{upload}" for digest, upload in names])
                return len(names)
            for digest, upload in names:
                try:
                    os.unlink(f"{self._root}/{digest}/{upload}")
                    os.rmdir(f"{self._root}/{digest}")
                except OSError as error:
                    # Gone already; or more of the same bytes are in its folder.
                    if not isinstance(error, FileNotFoundError) and os.path.lexists(
                        f"{self._root}/{digest}/{upload}"
                    ):
                        raise
        return len(names)

    def _make_folder(self, digest: str) -> None:
        """The folder of a digest; never the store's own: a disk that is not mounted is missing."""
        try:
            os.mkdir(f"{self._root}/{digest}")
        except FileExistsError:
            return
        _sync_folder(self._root)

    @contextmanager
    def _typed(self, what: str) -> Iterator[None]:
        """Whatever a file system raises is a BlobError."""
        try:
            yield
        except BlobError:
            raise
        except Exception as error:
            # Each package of a cloud has exceptions of its own.
            raise BlobError(
                UNAVAILABLE,
                f"{self.url} cannot be {what}: {type(error).__name__}: {str(error)[:500]}",
            ) from error


def _sync_folder(path: str) -> None:
    """Have new entries of a folder survive a power failure."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
