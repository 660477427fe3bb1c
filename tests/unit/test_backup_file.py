"""The backup file: what is written is read back, and nothing that is not whole is taken."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.etcd.snapshot.file import CHUNK_BYTES, FORMAT, MAGIC, SnapshotReader, SnapshotWriter
from quorate.internal.v1.backup_pb2 import BackupHeader
from quorate.runtime.errors import QuorateError

HEADER = BackupHeader(format=FORMAT, cluster="c", generation=2, revision=7, create_time=1.5)
RECORDS = [(b"k%04d" % number, b"v" * 40_000) for number in range(40)]


def written(path: Path, records: list[tuple[bytes, bytes]] = RECORDS) -> bytes:
    with SnapshotWriter(path, HEADER) as writer:
        for record in records:
            writer.add(*record)
        return writer.finish()


def read(path: Path) -> list[tuple[bytes, bytes]]:
    return [(record.key, record.value) for record in SnapshotReader(path).records()]


def reason(path: Path) -> str:
    with pytest.raises(QuorateError) as rejection:
        SnapshotReader(path).verify()
    assert str(path) in rejection.value.message
    return rejection.value.reason


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "b"
    digest = written(path)
    assert path.stat().st_size > 2 * CHUNK_BYTES, "one chunk only"
    reader = SnapshotReader(path)
    assert reader.header == HEADER
    assert reader.verify() == len(RECORDS)
    assert reader.digest == digest
    assert read(path) == RECORDS


def test_an_empty_backup_is_a_backup(tmp_path: Path) -> None:
    written(tmp_path / "b", [])
    assert read(tmp_path / "b") == []


def test_only_its_owner_can_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    written(tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(QuorateError, match="already exists"):
        written(tmp_path / "b")
    assert (tmp_path / "b").read_text() == "precious"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path / "b", HEADER) as writer:
        (tmp_path / "b").write_text("precious")
        with pytest.raises(QuorateError, match="already exists"):
            writer.finish()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_backup_that_is_not_finished_leaves_no_file(tmp_path: Path) -> None:
    with SnapshotWriter(tmp_path / "b", HEADER) as writer:
        writer.add(*RECORDS[0])
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "b"
    written(path, [(b"a", b"1" * 200), (b"b", b"2" * 200)])
    return path.read_bytes()


@given(data=st.data())
def test_no_byte_can_change(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "b"
    path.write_bytes(whole[:place] + bytes([whole[place] ^ other]) + whole[place + 1 :])
    assert reason(path) == "BACKUP_DAMAGED"


@given(data=st.data())
def test_no_byte_can_be_missing_or_too_many(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / "b"
    path.write_bytes(whole[:cut])
    assert reason(path) == "BACKUP_DAMAGED"
    path.write_bytes(whole + whole[: cut + 1])
    assert reason(path) == "BACKUP_DAMAGED"


def frames_of(text: bytes) -> list[bytes]:
    places = [len(MAGIC)]
    while places[-1] < len(text):
        length = int.from_bytes(text[places[-1] : places[-1] + 4], "big")
        places.append(places[-1] + 36 + length)
    return [text[a:b] for a, b in itertools.pairwise(places)]


def test_a_file_without_its_end_is_no_backup(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "b"
    path.write_bytes(MAGIC + b"".join(frames_of(whole)[:-1]))
    assert reason(path) == "BACKUP_DAMAGED"


def test_chunks_cannot_change_places(tmp_path: Path) -> None:
    path = tmp_path / "b"
    written(path)
    frames = frames_of(path.read_bytes())
    assert len(frames) >= 4
    frames[1], frames[2] = frames[2], frames[1]
    path.write_bytes(MAGIC + b"".join(frames))
    assert reason(path) == "BACKUP_DAMAGED"


def test_a_later_format_is_refused_by_name(tmp_path: Path) -> None:
    later = BackupHeader(format=FORMAT + 1, cluster="c")
    with SnapshotWriter(tmp_path / "b", later) as writer:
        writer.finish()
    assert reason(tmp_path / "b") == "BACKUP_FORMAT_UNKNOWN"
