"""What the demo computes: lines, tokens and definitions of Python source files.

Plain functions without any knowledge of Quorate: nodes import this module and call them.
"""

from __future__ import annotations

import sysconfig
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class FileStats(NamedTuple):
    """Counts of one file. A file that is no valid Python counts up to where it ceases to be."""

    lines: int
    tokens: int
    definitions: int
    broken: bool


class Summary(NamedTuple):
    """Counts of many files."""

    files: int
    lines: int
    tokens: int
    definitions: int
    broken: int
    most_tokens: int


def standard_library() -> list[str]:
    """Every .py file of the standard library that this interpreter runs on, sorted."""
    root = Path(sysconfig.get_path("stdlib"))
    files = (path for path in root.rglob("*.py") if "site-packages" not in path.parts)
    return sorted(str(path) for path in files if path.is_file())


def measure(path: str) -> FileStats:
    """Tokenise one file. The library's tests contain files that are broken on purpose."""
    lines = tokens = definitions = 0
    try:
        with tokenize.open(path) as file:
            for token in tokenize.generate_tokens(file.readline):
                tokens += 1
                lines = token.end[0]
                if token.type == tokenize.NAME and token.string in ("def", "class"):
                    definitions += 1
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
        return FileStats(lines, tokens, definitions, broken=True)
    return FileStats(lines, tokens, definitions, broken=False)


def combine(stats: Iterable[FileStats]) -> Summary:
    """Add up."""
    every = list(stats)
    return Summary(
        files=len(every),
        lines=sum(one.lines for one in every),
        tokens=sum(one.tokens for one in every),
        definitions=sum(one.definitions for one in every),
        broken=sum(one.broken for one in every),
        most_tokens=max((one.tokens for one in every), default=0),
    )
