"""The blob store: files, their names, and what goes wrong."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from quorate.blobs.names import (
    DELETE_AFTER,
    NAME_WITHIN,
    REPORT_WITHIN,
    Blob,
    blob_of,
    instant_of,
    is_well_formed,
    may_be_named,
    upload_id,
)
from quorate.blobs.store import BlobError, BlobStore
from quorate.blobs.urls import check_url

DATA = b"0123456789" * 100_000


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(f"file://{tmp_path}")


def reason(raised: pytest.ExceptionInfo[BlobError]) -> str:
    return raised.value.reason


def test_what_is_put_is_got(store: BlobStore) -> None:
    blob = store.put(DATA)
    assert blob.size == len(DATA)
    assert is_well_formed(blob)
    assert abs(blob.instant - time.time()) < 60
    with store.get(blob) as file:
        assert file.read() == DATA


def test_every_upload_has_a_name_of_its_own(store: BlobStore) -> None:
    one, other = store.put(DATA), store.put(DATA)
    assert one.sha256 == other.sha256
    assert one.upload != other.upload
    assert sorted(name for page in store.pages() for name in page) == sorted(
        [(one.sha256, one.upload), (other.sha256, other.upload)]
    )


@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA + b"x", b"x" + DATA[1:]])
def test_other_bytes_are_noticed(store: BlobStore, tmp_path: Path, damage: bytes) -> None:
    blob = store.put(DATA)
    (tmp_path / blob.name).write_bytes(damage)
    with pytest.raises(BlobError) as raised:
        store.get(blob)
    assert reason(raised) == "BLOB_CORRUPT"


def test_what_was_deleted_is_not_found(store: BlobStore, tmp_path: Path) -> None:
    blob, other = store.put(DATA), store.put(DATA)
    store.delete([(blob.sha256, blob.upload)])
    store.delete([(blob.sha256, blob.upload)])
    with pytest.raises(BlobError) as raised:
        store.get(blob)
    assert reason(raised) == "BLOB_NOT_FOUND"
    store.get(other).close()
    store.delete([(other.sha256, other.upload)])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_no_store(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}/unmounted")
    for call in (
        lambda: store.put(DATA),
        lambda: store.get(Blob("a" * 64, upload_id(1.0, 1), 1)),
        lambda: list(store.pages()),
        lambda: store.claim("c"),
    ):
        with pytest.raises(BlobError) as raised:
            call()
        assert reason(raised) == "BLOB_STORE_UNAVAILABLE"


def test_a_store_that_is_read_only_says_so(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(BlobError, match="Read-only file system") as raised:
        store.put(DATA)
    assert reason(raised) == "BLOB_STORE_UNAVAILABLE"


def test_files_of_others_are_left_out(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put(DATA)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / blob.sha256 / "notes.txt").write_text("mine")
    assert list(store.pages()) == [[(blob.sha256, blob.upload)]]


def test_a_store_is_of_the_first_cluster_that_claims_it(store: BlobStore) -> None:
    assert store.claim("one") == "one"
    assert store.claim("other") == "one"


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(BlobError, match="pip install gcsfs") as raised:
        BlobStore("gs://bucket/folder")
    assert reason(raised) == "BLOB_STORE_UNAVAILABLE"


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/blobs",
        "file:///srv/with#strange?characters",
        "s3://bucket",
        "s3://bucket/folder/",
        "gs://bucket/folder",
        "abfs://container@account.dfs.core.windows.net/folder",
    ],
)
def test_urls_of_stores(url: str) -> None:
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/blobs",
        "file:",
        "file://",
        "file:///",
        "file://host/folder",
        "file:///srv/../etc",
        "s3://",
        "s3://key:secret@bucket",
        "s3://key@bucket",
        "s3://bucket?endpoint_url=x",
        "abfs://user:key@account/folder",
        "memory://x",
        "http://host/folder",
        "ssh://host/folder",
        "simplecache::s3://bucket",
        "file://" + "/a" * 600,
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        check_url(url)


def test_an_upload_names_its_instant() -> None:
    upload = upload_id(1_700_000_000.123, (1 << 74) - 1)
    assert instant_of(upload) == 1_700_000_000.123
    assert is_well_formed(Blob("0" * 64, upload, 0))
    assert upload_id(1.0, 0) < upload_id(2.0, 0)


def test_a_text_names_a_value_or_is_refused() -> None:
    blob = Blob("a" * 64, upload_id(1.0, 5), 12)
    assert blob_of(blob.text) == blob
    for text in ("", blob.name, blob.text + "x", "../" + blob.text, blob.text.upper()):
        with pytest.raises(ValueError):
            blob_of(text)


def test_nothing_may_name_what_may_be_deleted() -> None:
    assert NAME_WITHIN < REPORT_WITHIN < DELETE_AFTER
    blob = Blob("a" * 64, upload_id(1_000_000.0, 5), 12)
    assert may_be_named(blob, 1_000_000.0 + NAME_WITHIN, NAME_WITHIN)
    assert not may_be_named(blob, 1_000_001.0 + NAME_WITHIN, NAME_WITHIN)
    assert not may_be_named(blob, 1_000_000.0 + DELETE_AFTER, REPORT_WITHIN)
