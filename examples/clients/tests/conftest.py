"""One cluster for all clients: they are told apart by a label."""

from __future__ import annotations

import os

# As in tests/conftest.py: before gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from collections.abc import Iterator

import pytest

from examples.clients.tests.building import IN_CI, RECIPES
from examples.clients.tests.leaders import Cluster, running_cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    every = ",".join(recipe.language for recipe in RECIPES)
    parser.addoption(
        "--languages",
        default=",".join(IN_CI),
        help=f"clients to build and run, of {every} (default: %(default)s)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "recipe" not in metafunc.fixturenames:
        return
    wanted = set(metafunc.config.getoption("--languages").split(","))
    chosen = [recipe for recipe in RECIPES if recipe.language in wanted]
    if unknown := wanted - {recipe.language for recipe in chosen}:
        raise pytest.UsageError(f"--languages: there is no client in {', '.join(sorted(unknown))}")
    metafunc.parametrize("recipe", chosen, ids=[recipe.language for recipe in chosen])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of three schedulers."""
    with running_cluster(tmp_path_factory.mktemp("clients") / "cluster") as running:
        yield running
