"""Large values of a program: written to the cluster's blob store before a task is created, read
from there with a result.

Where the store is says the cluster (`GetCluster`), unless QUORATE_BLOB_URL does. What reads and
writes it is imported when the first large value is met; credentials are this program's own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import IO, TYPE_CHECKING, Any, Final

from quorate.blobs.names import DEFAULT_MAX_BYTES, NAME_WITHIN, Blob
from quorate.client.errors import LargeValueError, PayloadTooLarge
from quorate.v1 import cluster_pb2, task_pb2

if TYPE_CHECKING:
    from quorate.blobs.store import BlobStore

# A name may be used again for this long after its upload: half of what the cluster accepts.
_AGAIN: Final = NAME_WITHIN / 2
# Uploads that are remembered.
_MOST_KNOWN: Final = 1_024
_VARIABLE: Final = "QUORATE_BLOB_URL"


class Held:
    """Bytes of a call that are too many for a spec: they are not copied into it.

    Args:
        limit: bytes that a spec may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.data: bytes | None = None

    def keep(self, data: bytes) -> bytes:
        """What to put into the spec: the data, or nothing where it is held here."""
        if len(data) <= self._limit:
            return data
        self.data = data
        return b""


class _Large:
    """What both kinds of clients share. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store: BlobStore | None = None
        self._most = DEFAULT_MAX_BYTES
        self._known: dict[str, tuple[float, Blob]] = {}

    def _learn(self, cluster: cluster_pb2.Cluster) -> BlobStore | None:
        from quorate.blobs.store import BlobError, BlobStore

        # A cluster without a store refuses what names an object, whatever the variable says.
        url = (os.environ.get(_VARIABLE) or cluster.blob_url) if cluster.blob_url else ""
        if not url:
            return None
        try:
            store = BlobStore(url)
        except ValueError as error:
            raise LargeValueError("BLOB_STORE_UNAVAILABLE", f"blob store {url}: {error}") from None
        except BlobError as error:
            raise LargeValueError(error.reason, error.message) from None
        with self._lock:
            self._store, self._most = store, cluster.max_blob_bytes or DEFAULT_MAX_BYTES
        return store

    def _upload(self, store: BlobStore, data: bytes) -> Blob:
        """Upload, or name an upload of the same bytes that this client made a moment ago."""
        import hashlib

        from quorate.blobs.store import BlobError

        if len(data) > self._most:
            raise PayloadTooLarge(len(data), self._most, store=True)
        digest, now = hashlib.sha256(data).hexdigest(), time.monotonic()
        with self._lock:
            known = self._known.get(digest)
        if known is not None and now - known[0] < _AGAIN:
            return known[1]
        try:
            blob = store.put(data, digest)
        except BlobError as error:
            raise LargeValueError(error.reason, error.message) from error
        with self._lock:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest] = (now, blob)
        return blob

    def _download(self, store: BlobStore | None, ref: task_pb2.BlobRef) -> IO[bytes]:
        from quorate.blobs.store import BlobError

        if store is None:
            raise LargeValueError(
                "BLOB_STORE_UNAVAILABLE",
                f"the value is in a blob store, and the cluster names none; set {_VARIABLE}",
            )
        try:
            return store.get(Blob(ref.sha256, ref.upload, ref.size))
        except BlobError as error:
            raise LargeValueError(error.reason, error.message) from error


class LargeValues(_Large):
    """Of one synchronous client.

    Args:
        cluster: asks for the cluster.
    """

    def __init__(self, cluster: Callable[[], cluster_pb2.Cluster]) -> None:
        super().__init__()
        self._cluster = cluster

    def fit(self, spec: task_pb2.TaskSpec, limit: int, held: Held | None = None) -> int:
        """Bytes of the spec, whose payload goes to the store when they are more than `limit`.

        Raises PayloadTooLarge, LargeValueError, QuorateError.
        """
        size = spec.ByteSize()
        data = held.data if held is not None else None
        if data is None:
            if size <= limit:
                return size
            data = payload_of(spec)
        whole = size + len(data or b"")
        store = self._found() if data else None
        if store is None or not data:
            raise PayloadTooLarge(whole, limit)
        name(spec, self._upload(store, data))
        return _within(spec, limit)

    def get(self, ref: task_pb2.BlobRef) -> IO[bytes]:
        """A file with the bytes of a value, verified. Raises LargeValueError, QuorateError."""
        return self._download(self._found(), ref)

    def _found(self) -> BlobStore | None:
        return self._store or self._learn(self._cluster())


class AsyncLargeValues(_Large):
    """Of one asyncio client: as `LargeValues`, and no file or network blocks the loop."""

    def __init__(self, cluster: Callable[[], Coroutine[Any, Any, cluster_pb2.Cluster]]) -> None:
        super().__init__()
        self._cluster = cluster

    async def fit(self, spec: task_pb2.TaskSpec, limit: int, held: Held | None = None) -> int:
        """As `LargeValues.fit`."""
        size = spec.ByteSize()
        data = held.data if held is not None else None
        if data is None:
            if size <= limit:
                return size
            data = payload_of(spec)
        whole = size + len(data or b"")
        store = await self._found() if data else None
        if store is None or not data:
            raise PayloadTooLarge(whole, limit)
        name(spec, await asyncio.to_thread(self._upload, store, data))
        return _within(spec, limit)

    async def get(self, ref: task_pb2.BlobRef) -> IO[bytes]:
        """As `LargeValues.get`."""
        return await asyncio.to_thread(self._download, await self._found(), ref)

    async def _found(self) -> BlobStore | None:
        if self._store is not None:
            return self._store
        cluster = await self._cluster()
        return await asyncio.to_thread(self._learn, cluster)


def payload_of(spec: task_pb2.TaskSpec) -> bytes | None:
    """The bytes of a spec that can be in the store instead; None: none."""
    if spec.HasField("command"):
        return spec.command.stdin
    if not spec.HasField("python"):
        return None
    if spec.python.HasField("pickle"):
        return spec.python.pickle
    return spec.python.json.encode() if spec.python.HasField("json") else None


def name(spec: task_pb2.TaskSpec, blob: Blob) -> None:
    """Have a spec name its payload instead of holding it."""
    spec.payload_blob.sha256, spec.payload_blob.upload, spec.payload_blob.size = blob
    if spec.HasField("command"):
        spec.command.stdin = b""
    elif spec.python.HasField("json"):
        spec.python.json = ""
    else:
        spec.python.pickle = b""


def _within(spec: task_pb2.TaskSpec, limit: int) -> int:
    size = spec.ByteSize()
    if size > limit:
        raise PayloadTooLarge(size, limit)
    return size
