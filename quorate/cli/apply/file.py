"""Files of `quorate apply`: TOML, JSON or YAML, by their names.

    [queues.mail]
    max_running = 10

    [schedules.report]
    cron = "0 6 * * *"
    task.command.argv = ["./report"]

YAML needs PyYAML (`pip install pyyaml`). Nothing is sent before all files are read.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from quorate.cli.apply.kinds import KINDS
from quorate.runtime.errors import invalid

# Bytes of a file, and objects of all files.
MOST_BYTES: Final = 16 << 20
MOST_OBJECTS: Final = 10_000

# By section and name, the fields and where they are from.
Declared = dict[str, dict[str, tuple[Any, str]]]


def read_files(paths: Sequence[str]) -> Declared:
    """All files together. Raises QuorateError that names file and place."""
    found: Declared = {}
    for path in paths:
        document = _read(path)
        if not isinstance(document, dict):
            raise invalid("file", f"{path}: a table of {_sections()} is needed")
        for section, objects in document.items():
            if section not in {kind.section for kind in KINDS}:
                raise invalid("file", f'{path}: "{section}" is no section; there are {_sections()}')
            if objects is None:
                objects = {}
            if not isinstance(objects, dict):
                raise invalid("file", f"{path}: {section} must be a table by name")
            there = found.setdefault(section, {})
            for name, fields in objects.items():
                place = f"{path}: {section}.{name}"
                if str(name) in there:
                    raise invalid("file", f"{place} is declared twice: also in {there[name][1]}")
                there[str(name)] = ({} if fields is None else fields, place)
    count = sum(map(len, found.values()))
    if count > MOST_OBJECTS:
        raise invalid("file", f"{count:,} objects; at most {MOST_OBJECTS:,} are possible")
    return found


def _sections() -> str:
    return ", ".join(kind.section for kind in KINDS)


def _read(path: str) -> Any:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise invalid("file", f"{path}: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise invalid("file", f"{path}: more than {MOST_BYTES >> 20} MiB")
    try:
        text = data.decode()
        if path.endswith((".yaml", ".yml")):
            return _yaml(text, path)
        # Standard input says by its first character what it is.
        if path.endswith(".json") or (path == "-" and text.lstrip()[:1] == "{"):
            return json.loads(text)
        return tomllib.loads(text)
    except ValueError as error:
        raise invalid("file", f"{path}: {error}") from None


def _yaml(text: str, path: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise invalid(
            "file", f"{path}: YAML needs PyYAML (pip install pyyaml); or write TOML or JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise invalid("file", f"{path}: {' '.join(str(error).split())}") from None
