"""What a test needs of the machine, and what happens when it is not there.

`make setup` gets all of it. Where that was not possible the test is skipped with one sentence that
says how to get it; where `CI` is set nothing may be skipped, and it fails with that sentence.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import pytest

from tools.dashboard import build_ui
from tools.provision import needs, place
from tools.provision.place import Missing, in_ci

# Tests that are not started by `make`: the programs of this checkout come last.
os.environ["PATH"] = place.search_path()


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Around what may raise Missing. `tests/conftest.py` has it around every test of `tests`."""
    try:
        yield
        return
    except Missing as missing:
        sentence = str(missing)
    give_up(sentence)


def give_up(sentence: str) -> None:
    """Skip the test; fail it in CI."""
    if in_ci():
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def need_dashboard() -> None:
    """The dashboard, built from the sources as they are now, and its tool chain."""
    try:
        build_ui.ensure()
        return
    except (build_ui.BuildFailed, OSError) as error:
        sentence = f"dashboard: not built; `make ui` builds it ({error})"
    give_up(sentence)


def need_programs(script: str) -> None:
    """Those programs that a shell script names and `make setup` gets."""
    for need in needs.TESTS:
        if any(re.search(rf"\b{program}\b", script) for program in need.programs):
            needs.require(need)
