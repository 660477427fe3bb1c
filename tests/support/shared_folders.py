"""Folders of `tmp_path_factory` that go with the fixture that made them.

pytest removes the `tmp_path` of a test that passed (`tmp_path_retention_policy`), but the folders
of `tmp_path_factory` only when the whole run has passed. An etcd takes 128 MB from its start, so
that a run would need 14 GB.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# What each fixture made, and how many tests had failed before.
_made: dict[pytest.FixtureDef[object], tuple[set[Path], int]] = {}
_known: set[Path] = set()


@contextlib.contextmanager
def made_by(fixture: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes what the fixture makes; what a fixture makes that it asks for is that one's own."""
    if fixture.scope == "function" or fixture.argname == "tmp_path_factory":
        yield
        return
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    _known.update(factory.getbasetemp().iterdir())
    failures = request.session.testsfailed
    yield
    made = set(factory.getbasetemp().iterdir()) - _known
    _known.update(made)
    _made[fixture] = made, failures


def ended(fixture: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Removes what the fixture made; after a failure it stays, to be looked at."""
    folders, failures = _made.pop(fixture, (set[Path](), 0))
    if request.session.testsfailed > failures:
        return
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        _known.discard(folder)
