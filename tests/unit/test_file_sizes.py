"""Files that can be read at once, and folders that can be overlooked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scheduler", "node_agent", "gateway", "quorate")
OTHERS = ("tests", "tools", "benchmarks", "examples")
MOST_LINES = 400
# Modules side by side in a folder of the packages, `__init__` aside.
MOST_MODULES = 12
# Path, and why it may be longer. Split a file along its ideas before you add it here.
LONG_FILES: dict[str, str] = {}
LARGE_FOLDERS: dict[str, str] = {}


def modules(*folders: str) -> Iterator[Path]:
    """The Python files of these folders that somebody wrote."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            generated = path.stem.endswith(("_pb2", "_pb2_grpc"))
            if not generated and "node_modules" not in path.parts:
                yield path.relative_to(ROOT)


def test_no_file_is_long() -> None:
    lines = {
        path.as_posix(): len((ROOT / path).read_text().splitlines())
        for path in modules(*PACKAGES, *OTHERS)
    }
    long = {path: count for path, count in lines.items() if count > MOST_LINES}
    assert set(long) == set(LONG_FILES), f"split along its ideas: {long}"


def test_no_folder_holds_many_modules() -> None:
    counts = Counter(
        path.parent.as_posix() for path in modules(*PACKAGES) if path.name != "__init__.py"
    )
    large = {folder: count for folder, count in counts.items() if count > MOST_MODULES}
    assert set(large) == set(LARGE_FOLDERS), f"put a family into a folder of its own: {large}"
