"""Holds the purity of the packages that decide (design: "a pure state machine over an etcd log").

A PURE package is a function of its arguments: no I/O, no clock, no randomness, no concurrency, and
no order that differs between two runs. This lint reads their syntax trees and reports

* imports of impure modules, and of parts of ours that are not pure themselves (direct imports only:
  `quorate.runtime.ids` may import `secrets` to make ids, its types are still just types),
* calls of built-ins that do I/O or differ between processes (`open`, `hash`, `id`, ...),
* iteration over a set where the syntax shows that it is one. String hashing is seeded per process,
  so such an order would make a standby decide differently from the leader it follows. Consuming a
  set where order cannot matter (`sorted`, `len`, `any`, `min`, ...) is fine.

A line ending in `# pure: <reason>` is exempt.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EXEMPT = "# pure: "

PURE_PACKAGES = (
    "scheduler.core",
    "scheduler.autoscaling.ask",
    "scheduler.autoscaling.look",
    "scheduler.autoscaling.plan",
    "scheduler.autoscaling.surplus",
    "node_agent.core",
)
# What a pure package may import of ours, beside the pure packages.
PURE_ENOUGH = (
    "quorate.blobs.names",
    "quorate.runtime.errors",
    "quorate.runtime.ids",
    "quorate.runtime.matching.patterns",
    "quorate.runtime.attempts.outcomes",
    "quorate.runtime.attempts.progress",
    "quorate.runtime.quotas",
    "quorate.runtime.ranges",
    "quorate.runtime.sizes",
    "quorate.runtime.timing.backoff",
    "quorate.runtime.timing.token_bucket",
    "quorate.v1",
    "quorate.internal",
)
OURS = ("quorate", "scheduler", "node_agent", "gateway")
IMPURE_MODULES = frozenset(
    [
        "aetcd",
        "aiohttp",
        "asyncio",
        "concurrent",
        "fcntl",
        "glob",
        "grpc",
        "http",
        "io",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "platform",
        "psutil",
        "queue",
        "random",
        "requests",
        "resource",
        "sched",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "structlog",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "uvloop",
    ]
)
IMPURE_BUILTINS = frozenset(
    ["open", "input", "print", "eval", "exec", "hash", "id", "globals", "__import__"]
)
# `datetime` is allowed as a value type, but not its readings of the clock.
CLOCK_READINGS = frozenset(["now", "utcnow", "today"])
ORDER_FREE = frozenset(
    ["sorted", "len", "min", "max", "sum", "any", "all", "set", "frozenset", "Counter", "bool"]
)
ORDERED_CONSUMERS = frozenset(
    ["list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "dict"]
)
SET_MAKERS = frozenset(("set", "frozenset"))
SET_TYPES = frozenset(("set", "frozenset", "Set", "AbstractSet", "MutableSet"))
SET_METHODS = frozenset(("union", "intersection", "difference", "symmetric_difference"))


class Finding(NamedTuple):
    """One offence: line number and what is wrong."""

    line: int
    text: str


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether `module` is one of `packages` or below one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def import_offence(module: str) -> str | None:
    """Why a pure module may not import `module`; None when it may."""
    root = module.split(".")[0]
    if root in IMPURE_MODULES:
        return f"imports {module}"
    if root in OURS and (
        module.endswith("_pb2_grpc") or not within(module, PURE_PACKAGES + PURE_ENOUGH)
    ):
        return f"imports {module}, which is not pure"
    return None


class _SetNames(ast.NodeVisitor):
    """Collects the names and attributes of a module that are declared or assigned as sets."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for item in node.body:
            match item:
                case ast.AnnAssign(target=ast.Name(id=field)):  # a field: read as an attribute
                    if _is_set_annotation(item.annotation):
                        self.names.add(f".{field}")
                case _:
                    self.visit(item)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if _is_set_annotation(node.annotation):
            self._add(node.target)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if is_set(node.value, frozenset()):
            for target in node.targets:
                self._add(target)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None and _is_set_annotation(node.annotation):
            self.names.add(node.arg)

    def _add(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.names.add(target.id)
        elif isinstance(target, ast.Attribute):
            self.names.add(f".{target.attr}")


def _is_set_annotation(node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        node = node.value
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in SET_TYPES


def is_set(node: ast.expr, known: frozenset[str]) -> bool:
    """Whether the syntax shows that `node` is a set; `known` are names (attributes: `.name`)."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SET_MAKERS
        case ast.Call(func=ast.Attribute(value=value, attr=attr)):
            return attr in SET_METHODS and is_set(value, known)
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return is_set(node.left, known) or is_set(node.right, known)
        case ast.Name(id=name):
            return name in known
        case ast.Attribute(attr=attr):
            return f".{attr}" in known
        case _:
            return False


def _call_name(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _findings(tree: ast.Module) -> Iterator[Finding]:
    declared = _SetNames()
    declared.visit(tree)
    sets = frozenset(declared.names)
    # Comprehensions whose consumer does not care about order, e.g. `any(f(x) for x in members)`.
    order_free: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _call_name(node) in ORDER_FREE:
            order_free.extend(node.args)
        if isinstance(node, ast.SetComp):
            order_free.append(node)
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    if offence := import_offence(alias.name):
                        yield Finding(node.lineno, offence)
            case ast.ImportFrom():
                if node.level:
                    yield Finding(node.lineno, "relative import")
                    continue
                module = node.module or ""
                # `from package import module` names the module in the alias.
                for alias in node.names:
                    whole = f"{module}.{alias.name}"
                    if import_offence(module) and (offence := import_offence(whole)):
                        yield Finding(node.lineno, offence)
                    elif alias.name.endswith("_pb2_grpc"):
                        yield Finding(node.lineno, f"imports {whole}")
            case ast.For() if is_set(node.iter, sets):
                yield Finding(node.lineno, "iterates over a set")
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() if node not in order_free:
                for generator in node.generators:
                    if is_set(generator.iter, sets):
                        yield Finding(node.lineno, "iterates over a set")
            case ast.Starred() if is_set(node.value, sets):
                yield Finding(node.lineno, "unpacks a set")
            case ast.Call():
                yield from _call_findings(node, sets)
            case _:
                pass


def _call_findings(node: ast.Call, sets: frozenset[str]) -> Iterator[Finding]:
    name = _call_name(node)
    if name in IMPURE_BUILTINS:
        yield Finding(node.lineno, f"calls {name}()")
    if name in ORDERED_CONSUMERS and any(is_set(argument, sets) for argument in node.args):
        yield Finding(node.lineno, f"{name}() depends on the order of a set")
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in CLOCK_READINGS and ast.unparse(node.func.value) in (
            "datetime",
            "date",
            "datetime.datetime",
            "datetime.date",
        ):
            yield Finding(node.lineno, "reads the clock")
        if node.func.attr == "pop" and not node.args and is_set(node.func.value, sets):
            yield Finding(node.lineno, "pop() of a set takes an arbitrary element")


def check_source(source: str) -> list[Finding]:
    """What is impure in one module's source, in line order."""
    lines = source.splitlines()
    return sorted(
        finding
        for finding in set(_findings(ast.parse(source)))
        if EXEMPT not in lines[finding.line - 1]
    )


def files_of(name: str, root: Path = ROOT) -> list[Path]:
    """The files of a package or module below `root`; none when it does not exist."""
    place = root / name.replace(".", "/")
    module = place.with_suffix(".py")
    return [module] if module.is_file() else sorted(place.rglob("*.py"))


def main() -> int:
    checked, found = 0, 0
    for name in PURE_PACKAGES:
        files = files_of(name)
        if not files:
            found += 1
            print(f"{name}: does not exist; correct PURE_PACKAGES in tools/check_purity.py")
        for path in files:
            checked += 1
            for line, text in check_source(path.read_text()):
                found += 1
                print(f"{path.relative_to(ROOT)}:{line}: {text}")
    if found:
        print(f"{found} offences: pure packages take time, ids and randomness as arguments.")
        return 1
    print(f"{checked} modules of pure packages: no offence")
    return 0


if __name__ == "__main__":
    sys.exit(main())
