"""What is run around an attempt, as far as the core needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Hook:
    """One program. `timeout`: seconds after which it is ended."""

    argv: tuple[str, ...]
    timeout: float


class HookEnd(NamedTuple):
    """How a hook ended, and after how many seconds. `error` is empty where it succeeded."""

    error: str
    seconds: float


class HookEnds(NamedTuple):
    """Of the hooks of an attempt; None for one that did not run."""

    setup: HookEnd | None = None
    cleanup: HookEnd | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """Those of an attempt; at least one is there."""

    setup: Hook | None = None
    cleanup: Hook | None = None
