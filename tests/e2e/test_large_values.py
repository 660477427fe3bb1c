"""Large arguments and results in a cluster of `quorate up`, and what a broken store does."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate import errors
from quorate.cli.app import run
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.local import running

SIZE = 600_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    large = tmp_path_factory.mktemp("large")
    plan = LocalPlan(data_dir=large, schedulers=1, nodes=1, slots=2, secure=tls.ON)
    with running(plan):
        yield plan.data_dir


@pytest.fixture
def client(folder: Path) -> Iterator[quorate.Client]:
    with quorate.Client(data_dir=folder) as client:
        yield client


def objects(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").glob("*/*") if path.is_file()]


def grown(folder: Path, before: list[Path]) -> Path:
    """The object that was written since."""
    (new,) = {*objects(folder)} - {*before}
    return new


def echo(data: bytes) -> bytes:
    return data[::-1]


def length(data: bytes) -> int:
    return len(data)


def test_large_arguments_and_results_travel_by_the_store(folder: Path, client) -> None:
    data = os.urandom(SIZE)
    handle = client.submit(echo, data)
    assert handle.result(60) == data[::-1]
    task = handle.task(full=True)
    assert task.result.blob.size > SIZE
    assert task.spec.payload_blob.size > SIZE
    assert task.spec.ByteSize() < 1_000
    # The same arguments once more, for another function: nothing is uploaded again.
    before = objects(folder)
    assert client.submit(length, data).result(60) == SIZE
    assert objects(folder) == before


def test_large_json_travels_by_the_store(client) -> None:
    text = "ä" * SIZE
    handle = client.submit_json("builtins:str", [text])
    assert handle.result(60) == text
    assert handle.task().result.HasField("blob")


def test_large_input_of_a_program_travels_by_the_store(folder: Path, client) -> None:
    out = folder / "copy"
    data = os.urandom(SIZE)
    script = f'cat > {out}; echo "$QUORATE_TASK_ID" > {out}.id; tr "\\0" "\\n" < /proc/$$/cmdline'
    handle = client.command(["sh", "-c", script], stdin=data)
    assert handle.result(60) == 0
    assert out.read_bytes() == data
    assert Path(f"{out}.id").read_text().strip() == handle.id
    said = b"".join(chunk.data for chunk in handle.logs())
    assert b"large_input" not in said
    assert handle.task(full=True).spec.ByteSize() < 2_000
    with pytest.raises(errors.TaskFailed) as raised:
        client.command(["sh", "-c", "exit 113"], stdin=data).result(60)
    assert (raised.value.type, raised.value.code) == ("EXIT_CODE", 113)
    with pytest.raises(errors.TaskFailed) as raised:
        client.command(["no-such-program"], stdin=data).result(60)
    assert raised.value.type == "NOT_STARTED"
    before = objects(folder)
    waiting = client.options(delay=2.0).command(["cat"], stdin=data[1:])
    grown(folder, before).unlink()
    with pytest.raises(errors.TaskFailed) as raised:
        waiting.result(60)
    assert raised.value.type == "BLOB_NOT_FOUND"
    assert not list(folder.glob("n1/scratch/note-*"))


def test_maps_and_executors_take_large_items(folder: Path, client) -> None:
    items = [bytes([number]) * SIZE for number in range(3)]
    expected = [item[::-1] for item in items]
    assert list(client.map(echo, items)) == expected
    with quorate.Executor(client=client) as executor:
        assert list(executor.map(echo, items)) == expected


async def test_asyncio_programs_have_them_too(folder: Path) -> None:
    data = os.urandom(SIZE)
    async with quorate.AsyncClient(data_dir=folder) as client:
        handle = await client.submit(echo, data)
        assert await handle.result(60) == data[::-1]
        assert [value async for value in client.map(echo, [data])] == [data[::-1]]


def test_other_bytes_than_were_written_are_noticed_by_who_reads_them(folder: Path, client) -> None:
    data = os.urandom(SIZE)
    before = objects(folder)
    waiting = client.options(delay=3.0).submit(length, data)
    object_ = grown(folder, before)
    object_.write_bytes(b"x" * object_.stat().st_size)
    with pytest.raises(errors.TaskFailed) as raised:
        waiting.result(60)
    assert raised.value.type == "BLOB_CORRUPT"
    before = objects(folder)
    handle = client.submit(os.urandom, SIZE)
    handle.wait(60)
    grown(folder, before).write_bytes(b"")
    with pytest.raises(errors.LargeValueError) as read:
        handle.result()
    assert read.value.reason == "BLOB_CORRUPT"


def test_a_result_that_is_gone_is_not_found(folder: Path, client) -> None:
    before = objects(folder)
    handle = client.submit(os.urandom, SIZE)
    handle.wait(60)
    grown(folder, before).unlink()
    with pytest.raises(errors.LargeValueError) as raised:
        handle.result()
    assert raised.value.reason == "BLOB_NOT_FOUND"


def test_a_store_that_is_gone_fails_what_needs_it_and_nothing_else(folder: Path, client) -> None:
    store, hidden = folder / "blobs", folder / "hidden"
    store.rename(hidden)
    try:
        with pytest.raises(errors.LargeValueError) as raised:
            client.submit(length, os.urandom(SIZE))
        assert raised.value.reason == "BLOB_STORE_UNAVAILABLE"
        with pytest.raises(errors.TaskFailed) as failed:
            client.submit(os.urandom, SIZE).result(60)
        assert failed.value.type == "BLOB_STORE_UNAVAILABLE"
        assert client.submit(length, b"small").result(60) == 5
    finally:
        hidden.rename(store)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_store_that_is_read_only_refuses_values(folder: Path, client) -> None:
    store = folder / "blobs"
    store.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(errors.LargeValueError) as raised:
            client.submit(length, os.urandom(SIZE))
        assert raised.value.reason == "BLOB_STORE_UNAVAILABLE"
    finally:
        store.chmod(stat.S_IRWXU)


def test_the_command_line_shows_large_results(folder: Path, capsys) -> None:
    where = ("--data-dir", str(folder))
    assert run([*where, "call", "operator:mul", '["a", 600000]']) == 0
    assert capsys.readouterr().out == '"' + "a" * SIZE + '"\n'
    with quorate.Client(data_dir=folder) as client:
        task = client.submit(bytes, SIZE)
        task.wait(60)
        assert run([*where, "task", task.id]) == 0
    assert "in the blob store" in capsys.readouterr().out
    run([*where, "doctor"])
    assert f"file://{folder}/blobs" in capsys.readouterr().out.replace("\n", "")
