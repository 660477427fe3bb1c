"""The command line in this process, against a scheduler that is a fake."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quorate.cli.app import run
from tests.support.fake_scheduler import FakeCluster, FakeServer


def command_line(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    capture: pytest.CaptureFixture[bytes],
) -> Callable[..., tuple[int, str, str]]:
    """Runs one command line: (exit code, standard output, standard error)."""
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(folder / "none"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        sys.stderr.flush()
        out, err = capture.readouterr()
        return code, out.decode(), err.decode()

    return call
