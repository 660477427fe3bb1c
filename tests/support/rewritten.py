"""pytest's rewriting of `assert` in test modules: once for all workers of pytest-xdist.

Each worker imports all test modules, and pytest rewrites each of them first, which takes three
times as long as the rest of the import. It keeps what it has rewritten in `__pycache__`, but
workers that begin at once find nothing there, and with PYTHONDONTWRITEBYTECODE nothing is kept. So
each worker rewrites its share before it imports anything, and finds what the others have rewritten.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

_TESTS = Path(__file__).resolve().parents[1]


def rewrite_share(config: pytest.Config) -> None:
    """Rewrite the share of this worker; nothing without workers, or for a few files."""
    name, count = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    state = config.stash.get(rewrite.assertstate_key, None)
    whole = {_TESTS, _TESTS.parent} & {Path(each).resolve() for each in config.args}
    if not name or not count or state is None or not whole:
        return
    for file in sorted(_TESTS.rglob("test_*.py"))[int(name.removeprefix("gw")) :: int(count)]:
        folder = rewrite.get_cache_dir(file)
        kept = folder / (file.name[:-3] + rewrite.PYC_TAIL)
        if rewrite._read_pyc(file, kept) is None and rewrite.try_makedirs(folder):
            source, code = rewrite._rewrite_test(file, config)
            rewrite._write_pyc(state, code, source, kept)
