"""The command line in this process, against a scheduler that is a fake."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.cli.app import run
from quorate.client.client import Client
from tests.support.fake_scheduler import FakeCluster, FakeServer

Quorate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fake_cluster() -> Iterator[FakeCluster]:
    """The fixture `cluster`."""
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def fake_quorate(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Quorate:
    """The fixture `quorate`: `command_line` of `cluster`."""
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


@pytest.fixture
def fake_client(cluster: FakeCluster) -> Iterator[Client]:
    """The fixture `client`: of `cluster`."""
    with Client(FakeServer(cluster).address) as client:
        yield client


def command_line(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    capture: pytest.CaptureFixture[bytes],
) -> Quorate:
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
