"""What a benchmark found: values only. `report` prints them, `__main__` writes them as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach: at least `bound`, or at most."""

    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether it does."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `load`: the machine's load average of the last minute meanwhile."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    note: str = ""
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class CpuCost:
    """CPU seconds (user + system) of each role while `tasks` tasks were done in `seconds`."""

    name: str
    tasks: int
    seconds: float
    by_role: Mapping[str, float]


@dataclass(slots=True)
class Findings:
    """Everything one benchmark found."""

    figures: list[Figure] = field(default_factory=list)
    costs: list[CpuCost] = field(default_factory=list)


def at_least(bound: float) -> Target:
    """A target that bigger values meet."""
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    """A target that smaller values meet."""
    return Target(bound, at_least=False)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all are not above; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Rounds of one measurement, for a note: `3 rounds, 512 to 540`."""
    if len(values) == 1:
        return "1 round"
    return f"median of {len(values)} rounds, {min(values):,.0f} to {max(values):,.0f}"


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
