"""What is run around an attempt, as far as the core needs to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hook:
    """One program. `timeout`: seconds after which it is ended."""

    argv: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Hooks:
    """Those of an attempt; at least one is there."""

    setup: Hook | None = None
    cleanup: Hook | None = None
