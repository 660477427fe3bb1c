"""No object is wired from outside: what it calls is given to its constructor, or subscribed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A worker patches the modules of the programs that it runs: that is its work.
PATCHES = ROOT / "node_agent" / "worker"


def assigned_callbacks(source: str) -> Iterator[str]:
    """Assignments of a lambda or an own method to an attribute of another object."""
    for cls in ast.walk(ast.parse(source)):
        if not isinstance(cls, ast.ClassDef | ast.Module):
            continue
        methods = {
            f"self.{each.name}"
            for each in cls.body
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for node in ast.walk(cls):
            if not isinstance(node, ast.Assign):
                continue
            called = isinstance(node.value, ast.Lambda) or ast.unparse(node.value) in methods
            for target in node.targets:
                if (
                    called
                    and isinstance(target, ast.Attribute)
                    and ast.unparse(target.value) != "self"
                ):
                    yield ast.unparse(node)


@pytest.mark.parametrize("package", ["scheduler", "node_agent", "gateway"])
def test_no_callback_is_assigned_to_another_object(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        if PATCHES not in path.parents
        for line in assigned_callbacks(path.read_text())
    ]
    assert not found


def test_it_sees_them() -> None:
    source = """
class Feed:
    def __init__(self, driver):
        self.told = lambda: None
        driver.changed = self._touch
        driver.stepped = lambda: None
        driver.size = self._size

    def _touch(self): ...
"""
    assert set(assigned_callbacks(source)) == {
        "driver.changed = self._touch",
        "driver.stepped = lambda: None",
    }
