"""What an examination says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is; the number decides the exit code."""

    OK = 0
    NOTE = 1
    """Worth knowing; nothing to be done."""
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at, such as `etcd 10.0.0.1:2379`.
        text: what was found, one sentence.
        advice: what to do about it; for warnings and errors always.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the level by its lower-case name."""
        return {**asdict(self), "level": self.level.name.lower()}


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, text)


def note(subject: str, text: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Level.NOTE, subject, text, advice)


def warning(subject: str, text: str, advice: str) -> Finding:
    """Should be put right."""
    return Finding(Level.WARNING, subject, text, advice)


def failure(subject: str, text: str, advice: str) -> Finding:
    """Must be put right."""
    return Finding(Level.ERROR, subject, text, advice)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the whole."""
    return max((finding.level for finding in findings), default=Level.OK)
