"""The sweep: it deletes what nobody names and nobody can name any more, and nothing else."""

from __future__ import annotations

import hashlib
import itertools
import time
from pathlib import Path

import pytest

from quorate.blobs.names import DELETE_AFTER, Blob, upload_id
from quorate.blobs.store import BlobError
from quorate.runtime.ids import TaskId
from scheduler.core.model.indexes.blobs import NamedBlobs
from scheduler.core.model.indexes.usage import Usage
from scheduler.leadership.sweep import BlobSweep

NOBODY = Usage("")


class Place:
    """A store in a folder with objects of any age, and the sweep of its cluster's leader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.named = NamedBlobs()
        self.barriers = 0
        self.numbers = itertools.count()
        self.sweep = BlobSweep(f"file://{folder}", "c", self.named, time.time, self.committed)

    async def committed(self) -> None:
        self.barriers += 1

    def object(self, age: float, data: bytes = b"data") -> Blob:
        upload = upload_id(time.time() - age, next(self.numbers))
        blob = Blob(hashlib.sha256(data).hexdigest(), upload, len(data))
        (self.folder / blob.sha256).mkdir(exist_ok=True)
        (self.folder / blob.name).write_bytes(data)
        return blob

    def name(self, blob: Blob, task: str = "t") -> None:
        self.named.add(TaskId(task), blob, NOBODY, NOBODY)

    def has(self, blob: Blob) -> bool:
        return (self.folder / blob.name).exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_what_no_task_names_is_deleted_once_it_is_old(place: Place) -> None:
    old, young = place.object(DELETE_AFTER + 60), place.object(DELETE_AFTER - 60)
    named = place.object(10 * DELETE_AFTER)
    place.name(named)
    assert await place.sweep.once() == 1
    assert [place.has(each) for each in (old, young, named)] == [False, True, True]
    place.named.drop(TaskId("t"), NOBODY, NOBODY)
    assert await place.sweep.once() == 1
    assert not place.has(named)


async def test_it_proves_that_it_leads_before_it_deletes(place: Place, tmp_path: Path) -> None:
    old = place.object(DELETE_AFTER + 60)

    async def deposed() -> None:
        raise RuntimeError("deposed")

    sweep = BlobSweep(f"file://{tmp_path}", "c", place.named, time.time, deposed)
    with pytest.raises(RuntimeError, match="deposed"):
        await sweep.once()
    assert place.has(old)


async def test_what_is_named_while_it_waits_stays(place: Place, tmp_path: Path) -> None:
    old = place.object(DELETE_AFTER + 60)

    async def committed() -> None:
        place.name(old)

    sweep = BlobSweep(f"file://{tmp_path}", "c", place.named, time.time, committed)
    assert await sweep.once() == 0
    assert place.has(old)


async def test_the_store_of_another_cluster_is_left_alone(place: Place, tmp_path: Path) -> None:
    assert await place.sweep.once() == 0
    old = place.object(DELETE_AFTER + 60)
    other = BlobSweep(f"file://{tmp_path}", "other", place.named, time.time, place.committed)
    assert await other.once() == 0
    assert place.has(old)


async def test_many_objects_go_page_by_page(place: Place) -> None:
    for number in range(1_001):
        place.object(DELETE_AFTER + 60, b"%d" % number)
    assert await place.sweep.once() == 1_001
    assert place.barriers == 2
    assert not list(place.folder.glob("*/*"))


async def test_a_store_that_is_gone_is_an_error_that_the_next_sweep_survives(place: Place) -> None:
    place.folder.rmdir()
    with pytest.raises(BlobError):
        await place.sweep.once()
