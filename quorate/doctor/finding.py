"""What an examination says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
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
        code: of the verdict's problem that it is, if it is one.
        about: names of what it is about, as the verdict's problem has them; empty: the cluster.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""
    code: str = ""
    about: frozenset[str] = frozenset()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the level by its lower-case name."""
        return {
            "level": self.level.name.lower(),
            "subject": self.subject,
            "text": self.text,
            "advice": self.advice,
            "code": self.code,
        }

    def of(self, code: str, *about: str) -> Finding:
        """The same, as a problem of the verdict: of this code, and about these names."""
        return replace(self, code=code, about=frozenset(about))

    def covers(self, code: str, name: str) -> bool:
        """Whether it says what a problem of this code and name says."""
        return self.code == code and (not self.about or name in self.about)


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
