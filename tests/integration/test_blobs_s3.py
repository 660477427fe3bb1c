"""The blob store in S3, as moto plays it: `make setup` gets both (`tools.provision.s3`)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from quorate.blobs.names import DELETE_AFTER, Blob, upload_id
from quorate.blobs.store import BlobError, BlobStore
from scheduler.core.model.indexes.blobs import NamedBlobs
from scheduler.leadership.sweep import BlobSweep
from tools.provision import s3

# More than one part of a multipart upload.
DATA = b"0123456789abcdef" * (1 << 20)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3.packages():
        moto = importlib.import_module("moto.server")
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def files(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file system of fsspec, as the store uses it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = importlib.import_module("s3fs").S3FileSystem
    system.clear_instance_cache()
    return system()


@pytest.fixture
def store(files: Any) -> BlobStore:
    bucket = f"b{time.time_ns()}"
    files.mkdir(bucket)
    return BlobStore(f"s3://{bucket}/folder")


def test_what_is_put_is_got(store: BlobStore) -> None:
    for data in (b"", b"small", DATA):
        with store.get(store.put(data)) as file:
            assert file.read() == data


def test_what_is_wrong_is_said(store: BlobStore, files: Any) -> None:
    blob = store.put(b"data")
    with pytest.raises(BlobError) as raised:
        store.get(blob._replace(sha256="0" * 64))
    assert raised.value.reason == "BLOB_NOT_FOUND"
    files.pipe_file(f"{store.url}/{blob.name}", b"tada")
    with pytest.raises(BlobError) as raised:
        store.get(blob)
    assert raised.value.reason == "BLOB_CORRUPT"


def test_a_bucket_that_is_not_there_is_no_store(store: BlobStore) -> None:
    with pytest.raises(BlobError) as raised:
        BlobStore("s3://no-such-bucket/folder").put(b"data")
    assert raised.value.reason == "BLOB_STORE_UNAVAILABLE"


async def test_the_sweep_deletes_page_by_page(store: BlobStore, files: Any) -> None:
    old = []
    for number in range(5):
        blob = Blob(f"{number:064x}", upload_id(time.time() - DELETE_AFTER - 60, number), 4)
        files.pipe_file(f"{store.url}/{blob.name}", b"data")
        old.append(blob)
    young = store.put(b"young")

    async def committed() -> None:
        pass

    sweep = BlobSweep(store.url, "c", NamedBlobs(), time.time, committed)
    assert await sweep.once() == 5
    assert [name for page in store.pages() for name in page] == [(young.sha256, young.upload)]
    assert BlobStore(store.url).claim("other") == "c"
