"""Findings as tables for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import CpuCost, Figure, Findings

ROLES = ("etcd", "leader", "standby", "agent", "spawner", "workers", "programs", "client")


def show(console: Console, results: Mapping[str, Findings]) -> None:
    """Two tables: the figures, and what they cost."""
    table = Table(title=f"Quorate on {_machine()}")
    for name in ("figure", "measured", "target", "load", "how"):
        right = name in ("measured", "target", "load")
        table.add_column(name, justify="right" if right else "left")
    for findings in results.values():
        for figure in findings.figures:
            table.add_row(*_row(figure))
        table.add_section()
    console.print(table)
    costs = [cost for findings in results.values() for cost in findings.costs]
    if costs:
        console.print(_cost_table(costs))


def document(results: Mapping[str, Findings]) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "machine": _machine(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "results": {name: asdict(findings) for name, findings in results.items()},
    }


def _row(figure: Figure) -> tuple[str, ...]:
    target = ""
    if figure.target is not None:
        sign = ">=" if figure.target.at_least else "<="
        met = figure.target.met(figure.value)
        colour = "green" if met else "red"
        verdict = "met" if met else "missed"
        target = f"{sign} {_number(figure.target.bound)} [{colour}]{verdict}[/{colour}]"
    measured = f"{_number(figure.value)} {figure.unit}"
    return figure.name, measured, target, f"{figure.load:.1f}", figure.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def _cost_table(costs: list[CpuCost]) -> Table:
    table = Table(title="CPU microseconds per task, by process")
    table.add_column("while")
    for role in (*ROLES, "all", "cores busy"):
        table.add_column(role, justify="right")
    for cost in costs:
        whole = sum(cost.by_role.values())
        table.add_row(
            cost.name,
            *(_micros(cost.by_role.get(role), cost.tasks) for role in ROLES),
            _micros(whole, cost.tasks),
            f"{whole / cost.seconds:.2f}",
        )
    return table


def _micros(seconds: float | None, tasks: int) -> str:
    return "-" if seconds is None else f"{seconds / tasks * 1e6:,.0f}"


def _machine() -> str:
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores, {model}"
