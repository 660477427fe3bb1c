"""The contracts of the rooms see an arrow upwards, and a circle that only annotations make."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("quorate", "scheduler", "node_agent", "gateway")
# (file, a line at its end, what the contract says)
UPWARDS = {
    "a rule knows the engine": (
        "scheduler/core/handlers/retention.py",
        "from scheduler.engine import lane",
        "scheduler.core is not allowed to import scheduler.engine",
    ),
    "placement knows a rule": (
        "scheduler/core/placement/strategies/round_robin.py",
        "from scheduler.core.handlers import shares",
        "scheduler.core.placement is not allowed to import scheduler.core.handlers.shares",
    ),
    "the store knows a call": (
        "scheduler/storage/keys.py",
        "from scheduler.api import page_tokens",
        "scheduler.storage is not allowed to import scheduler.api",
    ),
    "a family of calls knows another": (
        "scheduler/api/queues/views.py",
        "from scheduler.api.tasks import views",
        "scheduler.api.queues is not allowed to import scheduler.api.tasks",
    ),
    "an executor knows the session": (
        "node_agent/executors/kills.py",
        "from node_agent.session import outgoing",
        "node_agent.executors is not allowed to import node_agent.session",
    ),
    "HTTP knows the proxy": (
        "gateway/http/patience.py",
        "from gateway.proxy import options",
        "gateway.http is not allowed to import gateway.proxy",
    ),
    "the SDK knows the command line": (
        "quorate/client/tracking/ledger.py",
        "from quorate.cli import exits",
        "quorate.client is not allowed to import quorate.cli",
    ),
    "a circle of annotations": (
        "scheduler/core/model/limits/bounds.py",
        "if TYPE_CHECKING:\n    from scheduler.core.model.state import State",
        "No cycles are allowed in scheduler.core.model",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The packages and their contracts, to be changed."""
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            folder / package,
            ignore=shutil.ignore_patterns("__pycache__", "ui", "_ui"),
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    yield folder
    shutil.rmtree(folder)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (Path(sys.executable).with_name("lint-imports"), "--no-cache"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("case", UPWARDS)
def test_an_import_upwards_breaks_a_contract(copy: Path, case: str) -> None:
    file, line, sentence = UPWARDS[case]
    changed = copy / file
    before = changed.read_text()
    changed.write_text(f"{before}\n{line}\n")
    try:
        done = lint(copy)
    finally:
        changed.write_text(before)
    assert done.returncode == 1, done.stdout
    assert sentence in re.sub(r"\s+", " ", done.stdout)


def test_the_rooms_as_they_are_hold_together(copy: Path) -> None:
    assert lint(copy).returncode == 0
