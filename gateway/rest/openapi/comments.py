"""The comments of the proto files, by the full name of what they are about.

Python's descriptors drop them, so they are read from `quorate/v1/descriptors.binpb`, which
`make protos` writes beside the stubs and `make check` holds fresh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

# Field numbers in descriptor.proto of what has comments: (list, its children).
_ENUM: Final[Mapping[int, tuple[str, Any]]] = {2: ("value", {})}
_MESSAGE: Final[dict[int, tuple[str, Any]]] = {
    2: ("field", {}),
    4: ("enum_type", _ENUM),
    8: ("oneof_decl", {}),
}
_MESSAGE[3] = ("nested_type", _MESSAGE)
_FILE: Final[Mapping[int, tuple[str, Any]]] = {
    4: ("message_type", _MESSAGE),
    5: ("enum_type", _ENUM),
    6: ("service", {2: ("method", {})}),
}


@cache
def comments() -> Mapping[str, str]:
    """Comment by full name; an enum's value is named below its enum."""
    data = files("quorate.v1").joinpath("descriptors.binpb").read_bytes()
    return {
        name: text for file in FileDescriptorSet.FromString(data).file for name, text in _of(file)
    }


def comment(full_name: str) -> str:
    """The comment of one thing; empty when it has none."""
    return comments().get(full_name, "")


def first_sentence(text: str) -> str:
    """For a summary: without the closing full stop."""
    for place, char in enumerate(text):
        if char == "." and (place + 1 == len(text) or text[place + 1].isspace()):
            return text[:place]
    return text


def _of(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        text = location.leading_comments or location.trailing_comments
        name = _name(file, list(location.path)) if text else None
        if name:
            # One paragraph per line, as Markdown has it; the proto files wrap at 100 columns.
            paragraphs = "\n".join(line.strip() for line in text.strip().splitlines()).split("\n\n")
            yield name, "\n\n".join(" ".join(part.splitlines()) for part in paragraphs)


def _name(file: FileDescriptorProto, path: list[int]) -> str | None:
    parts, parent, kinds = [file.package], file, _FILE
    while len(path) >= 2:
        number, place, *path = path
        if number not in kinds:
            return None
        attribute, kinds = kinds[number]
        parent = getattr(parent, attribute)[place]
        parts.append(parent.name)
    return None if path or len(parts) == 1 else ".".join(parts)
