"""One cluster for all clients: they are told apart by a label."""

from __future__ import annotations

import os

# As in tests/conftest.py: before gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from collections.abc import Iterator

import pytest

from examples.clients.tests.leaders import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of three schedulers."""
    with running_cluster(tmp_path_factory.mktemp("clients") / "cluster") as running:
        yield running
