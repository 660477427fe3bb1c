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

_folders: dict[pytest.FixtureDef[object], set[Path]] = {}
_failures_before: dict[pytest.FixtureDef[object], int] = {}
_known: set[Path] = set()


@contextlib.contextmanager
def made_by(fixture: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Iterator[None]:
    """Notes what the fixture makes; what a fixture makes that it asks for is that one's own."""
    if fixture.scope == "function" or fixture.argname == "tmp_path_factory":
        yield
        return
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    _known.update(factory.getbasetemp().iterdir())
    _failures_before[fixture] = request.session.testsfailed
    yield
    made = set(factory.getbasetemp().iterdir()) - _known
    _known.update(made)
    _folders[fixture] = made


def ended(fixture: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Removes what the fixture made; after a failure it stays, to be looked at."""
    folders = _folders.pop(fixture, set())
    if request.session.testsfailed > _failures_before.pop(fixture, 0):
        return
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        _known.discard(folder)
