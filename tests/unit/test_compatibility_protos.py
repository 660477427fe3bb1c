"""What `make check` lets through and what it refuses, against the image of the last release."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

from quorate.internal.v1 import backup_pb2, records_pb2
from quorate.v1 import cluster_pb2, node_agent_pb2, scheduler_pb2, service_pb2
from tests.support.next_release import present
from tools.protos.generate import PROTOS
from tools.protos.release import project_version, release
from tools.protos.rules import build_image, keeps_to, last_release, version_of

_SERVED = (cluster_pb2, node_agent_pb2, scheduler_pb2, service_pb2)
_RECORDS = (records_pb2, backup_pb2)


def edited(folder: Path, name: str, pattern: str, by: str) -> Path:
    """A copy of the protos in which one place of one file is another; its image."""
    protos = folder / "protos"
    shutil.copytree(PROTOS / "quorate", protos / "quorate")
    path = protos / "quorate" / name
    text, changes = re.subn(pattern, by, path.read_text(), count=1)
    assert changes == 1, f"{pattern!r} is not in {name}"
    path.write_text(text)
    image = folder / "edited.binpb"
    build_image(protos, image)
    return image


@pytest.mark.parametrize(
    ("name", "pattern", "by"),
    [
        pytest.param("v1/task.proto", r"string affinity_key = (\d+);", "", id="a field is removed"),
        pytest.param(
            "v1/task.proto", r"string affinity_key = ", "bytes affinity_key = ", id="retyped"
        ),
        pytest.param(
            "v1/task.proto", r"string affinity_key = ", "string affinity = ", id="renamed"
        ),
        pytest.param(
            "v1/task.proto",
            r"string affinity_key = \d+;",
            "string affinity_key = 999;",
            id="another number",
        ),
        pytest.param(
            "v1/queue.proto", r"PLACEMENT_STRATEGY_ROUND_ROBIN = 2;", "", id="a value is removed"
        ),
        pytest.param(
            "v1/scheduler.proto", r"rpc GetTask\(", "rpc FetchTask(", id="an RPC is renamed"
        ),
        pytest.param(
            "v1/scheduler.proto",
            r"returns \(stream WatchTasksResponse\)",
            "returns (WatchTasksResponse)",
            id="no stream any more",
        ),
        pytest.param(
            "internal/v1/records.proto", r"int64 sequence = 2;", "", id="a record's field removed"
        ),
        pytest.param(
            "internal/v1/records.proto",
            r"int64 sequence = 2;",
            "reserved 2;",
            id="a record's field removed, its number reserved",
        ),
        pytest.param(
            "internal/v1/records.proto",
            r"double drain_grace = 3;",
            "float drain_grace = 3;",
            id="a record's field retyped",
        ),
        pytest.param(
            "internal/v1/records.proto",
            r"message NodeControlRecord \{[^}]*\}",
            "",
            id="a record removed",
        ),
        pytest.param(
            "internal/v1/backup.proto",
            r"BackupTrailer trailer = 3;",
            "",
            id="a backup's frame removed",
        ),
    ],
)
def test_a_breaking_edit_is_refused(tmp_path, capfd, name, pattern, by):
    assert not keeps_to(edited(tmp_path, name, pattern, by), last_release())
    assert f"quorate/{name}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "pattern", "by"),
    [
        pytest.param(
            "v1/task.proto",
            r"message TaskSpec \{",
            "message TaskSpec { string next = 9999;",
            id="a field is added",
        ),
        pytest.param(
            "v1/queue.proto",
            r"PLACEMENT_STRATEGY_ROUND_ROBIN = 2;",
            "PLACEMENT_STRATEGY_ROUND_ROBIN = 2; PLACEMENT_STRATEGY_NEXT = 99;",
            id="a value is added",
        ),
        pytest.param(
            "internal/v1/records.proto",
            r"int64 sequence = 2;",
            "int64 place = 2;",
            id="a record's field is renamed",
        ),
    ],
)
def test_what_only_adds_is_let_through(tmp_path, name, pattern, by):
    assert keeps_to(edited(tmp_path, name, pattern, by), last_release())


def test_the_last_release_is_that_of_the_greatest_version(tmp_path):
    for name in ("0.9.0.binpb", "0.10.0.binpb", "0.2.11.binpb", "README.md", "1.0.binpb"):
        (tmp_path / name).touch()
    assert last_release(tmp_path).name == "0.10.0.binpb"


def test_there_is_no_check_without_a_released_image(tmp_path):
    with pytest.raises(FileNotFoundError):
        last_release(tmp_path)


def test_the_last_image_is_not_of_a_later_version_than_the_project():
    version = tuple(map(int, project_version().split(".")))
    assert version_of(last_release()) <= version


def test_a_release_is_written_when_it_adds_and_is_what_the_next_is_held_to(tmp_path):
    shutil.copy(last_release(), tmp_path)
    edited(tmp_path, "v1/task.proto", r"message TaskSpec \{", "message TaskSpec { bool next = 99;")
    written = release("99.0.0", tmp_path / "protos", tmp_path)
    assert last_release(tmp_path) == written
    with pytest.raises(ValueError, match=r"break what 99\.0\.0"):
        release("99.0.1", PROTOS, tmp_path)
    assert last_release(tmp_path) == written


def test_a_release_older_than_the_last_is_refused(tmp_path):
    shutil.copy(last_release(), tmp_path / "99.0.0.binpb")
    with pytest.raises(ValueError, match="older than the last release"):
        release("98.0.0", PROTOS, tmp_path)


@pytest.fixture(scope="module")
def released() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in FileDescriptorSet.FromString(last_release().read_bytes()).file:
        pool.Add(file)
    return pool


def test_the_image_holds_contract_and_records_alike(released):
    for module in (*_SERVED, *_RECORDS):
        assert released.FindFileByName(module.DESCRIPTOR.name)


def test_added_fields_have_greater_numbers_than_all_before():
    """Else an old scheduler's digest of a new client's request is not that of a new scheduler."""
    now = dict(_messages(present()))
    before = dict(_messages(FileDescriptorSet.FromString(last_release().read_bytes())))
    assert len(before) > 100
    for name, old in before.items():
        numbers = {field.number for field in old.field}
        added = {field.number for field in now[name].field} - numbers
        assert not added or not numbers or min(added) > max(numbers), name


def _messages(release: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    """Our messages by full name, with those within others."""

    def within(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[Any]:
        for message in messages:
            yield f"{scope}.{message.name}", message
            yield from within(f"{scope}.{message.name}", message.nested_type)

    for file in release.file:
        if file.name.startswith("quorate/"):
            yield from within(file.package, file.message_type)


def test_released_calls_keep_their_rest_path(released):
    looked = 0
    for module in _SERVED:
        for service in module.DESCRIPTOR.services_by_name.values():
            before = released.FindServiceByName(service.full_name)
            for method in before.methods:
                now = service.methods_by_name[method.name]
                old = method.GetOptions().Extensions[annotations_pb2.http]
                new = now.GetOptions().Extensions[annotations_pb2.http]
                bindings = [_without_more(new), *new.additional_bindings]
                assert _without_more(old) in bindings, method.full_name
                looked += 1
    assert looked > 30


def _without_more(rule):
    first = type(rule)()
    first.CopyFrom(rule)
    first.ClearField("additional_bindings")
    return first
