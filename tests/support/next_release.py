"""A release to come: the present protos, with something added wherever something may be added.

Every message gets a field, every enum a value, every service an RPC; numbers are the next free
ones, as docs/compatibility.md asks. It stands for all versions that keep to the rules: what holds
between the present program and stubs of this one holds between neighbouring versions.

`classes` gives message classes for a test's own process; `write_stubs` what protoc makes of a
release, for processes of another version (`tests.support.run_next`, `tests.support.stub_client`).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import Message
from grpc_tools import protoc

from tools.protos.generate import proto_files

FIELD = "next_release_note"
"""The field that each message has more."""
NOTE = "of the next release"
"""What the programs of that release write into it."""
RPC = "NextReleaseCall"
"""The method that `Scheduler` has more; it takes and gives what GetCluster does."""

_OURS = ("quorate/v1/", "quorate/internal/")


def present() -> FileDescriptorSet:
    """The protos of the present stubs, dependencies first."""
    found: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for needed in file.dependencies:
            add(needed)
        found.setdefault(file.name, file)

    for name in proto_files():
        stub = name.removesuffix(".proto").replace("/", ".") + "_pb2"
        add(importlib.import_module(stub).DESCRIPTOR)
    made = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(made.file.add())
    return made


def following(release: FileDescriptorSet) -> FileDescriptorSet:
    """The release after `release`."""
    made = FileDescriptorSet()
    made.CopyFrom(release)
    for file in made.file:
        if file.name.startswith(_OURS):
            _grow(file)
    return made


def _grow(file: FileDescriptorProto) -> None:
    for message in file.message_type:
        _grow_message(message)
    for enum in file.enum_type:
        _grow_enum(enum)
    for service in file.service:
        if service.name == "Scheduler":
            like = next(method for method in service.method if method.name == "GetCluster")
            added = service.method.add()
            added.CopyFrom(like)
            added.name = RPC


def _grow_message(message: DescriptorProto) -> None:
    if message.options.map_entry:
        return
    message.field.add(
        name=FIELD,
        json_name="nextReleaseNote",
        # The ends of what is reserved are exclusive.
        number=max(
            *(field.number + 1 for field in message.field),
            *(reserved.end for reserved in message.reserved_range),
            1,
            1,
        ),
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    for inner in message.nested_type:
        _grow_message(inner)
    for enum in message.enum_type:
        _grow_enum(enum)


def _grow_enum(enum: EnumDescriptorProto) -> None:
    prefix = enum.value[0].name.removesuffix("UNSPECIFIED")
    enum.value.add(
        name=f"{prefix}NEXT_RELEASE", number=max(value.number for value in enum.value) + 1
    )


def classes(release: FileDescriptorSet) -> dict[str, type[Message]]:
    """The message classes of a release by full name, apart from those of the present stubs."""
    pool = descriptor_pool.DescriptorPool()
    for file in release.file:
        pool.Add(file)
    made: dict[str, type[Message]] = {}
    for file in release.file:
        found: Any = pool.FindFileByName(file.name).message_types_by_name
        for message in found.values():
            made[message.full_name] = message_factory.GetMessageClass(message)
    return made


def fill(message: Message) -> None:
    """Set the added field of `message` and of every message that is set in it."""
    if FIELD in message.DESCRIPTOR.fields_by_name:
        setattr(message, FIELD, NOTE)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                _fill_all(value.values())
        elif field.is_repeated:
            _fill_all(value)
        else:
            fill(value)


def _fill_all(messages: Iterable[Message]) -> None:
    for message in messages:
        fill(message)


def write_stubs(release: FileDescriptorSet, folder: Path) -> Path:
    """Have protoc make the stubs of a release; the folder, below which is the package `quorate`."""
    folder.mkdir(parents=True)
    image = folder / "release.binpb"
    image.write_bytes(release.SerializeToString())
    names = [file.name for file in release.file if file.name.startswith("quorate/")]
    code = protoc.main(
        [
            "protoc",
            f"--descriptor_set_in={image}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            *names,
        ]
    )
    assert code == 0, f"protoc ended with {code}"
    # Packages, or Python would prefer those of the checkout.
    for package in {Path(name).parent for name in names}:
        for part in (package, *package.parents):
            (folder / part / "__init__.py").touch()
    return folder
