"""What an attempt runs, as executors see it: plain values decoded from a `TaskSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Command:
    """A program; see `quorate.v1.CommandWork`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdin: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A Python call; see `quorate.v1.PythonWork`."""

    entrypoint: str
    kind: Literal["", "json", "pickle"]
    arguments: str | bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A spec this agent does not understand (a newer leader's, or broken bytes)."""

    why: str


Work = Command | Call | Unreadable
