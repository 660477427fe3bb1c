"""The help text of each metric is how its meaning in docs/observability.md begins."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from quorate.telemetry.calls import CallMetrics
from quorate.telemetry.process import LoopLag
from tools.docs.documented_metrics import DOCS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scheduler", "node_agent", "gateway", "quorate/telemetry")
_ROW = re.compile(r"^\| `(quorate_\w+)` \| \w+ \| [^|]*\| (.+) \|$", re.MULTILINE)


def test_help_and_documented_meaning_are_alike() -> None:
    helps = dict(_helps())
    meanings = [
        (_family(name), _plain(meaning)) for name, meaning in _ROW.findall(DOCS.read_text())
    ]
    assert {name for name, _ in meanings} == set(helps)
    differ = [
        f"{name}: {helps[name]!r} is not how {meaning!r} begins"
        for name, meaning in meanings
        if not f"{meaning} ".startswith(f"{helps[name]} ")
    ]
    assert differ == []


def _family(name: str) -> str:
    return name.removesuffix("_total").removesuffix("_info")


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("*", "")


def _helps() -> Iterator[tuple[str, str]]:
    """By family: literals in the packages, and what is made of literals."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                yield from _literals(node)
    for family in LoopLag().collect():
        yield family.name, family.documentation


def _literals(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "CallMetrics":
            arguments = [ast.literal_eval(each) for each in node.args]
            named = {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}
            for family in CallMetrics(*arguments, **named).collect():
                yield family.name, family.documentation
            return
        parts = node.args
    elif isinstance(node, ast.Tuple):
        parts = node.elts
    else:
        return
    for name, text in pairwise(parts):
        match name, text:
            case ast.Constant(value=str(metric)), ast.Constant(value=str(words)):
                if metric.startswith("quorate_"):
                    yield metric, words
