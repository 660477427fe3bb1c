"""One cluster for all clients, and one with TLS: they are told apart by a label."""

from __future__ import annotations

import os

# As in tests/conftest.py: before gRPC is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from collections.abc import Iterator

import pytest

from examples.clients.tests.building import RECIPES
from examples.clients.tests.leaders import Cluster, running_cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    every = ",".join(recipe.language for recipe in RECIPES)
    parser.addoption(
        "--languages",
        default=every,
        help="clients to build and run (default: %(default)s)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "recipe" not in metafunc.fixturenames:
        return
    wanted = set(metafunc.config.getoption("--languages").split(","))
    chosen = [recipe for recipe in RECIPES if recipe.language in wanted]
    if unknown := wanted - {recipe.language for recipe in chosen}:
        raise pytest.UsageError(f"--languages: there is no client in {', '.join(sorted(unknown))}")
    pairs = [
        pytest.param(security, recipe, id=f"{security}-{recipe.language}")
        for security in ("plaintext", "tls")
        for recipe in chosen
        if security == "plaintext" or recipe.tls
    ]
    metafunc.parametrize(("cluster", "recipe"), pairs, indirect=["cluster"], scope="session")


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A running cluster of three schedulers; with mutual TLS for the parameter `tls`."""
    data = tmp_path_factory.mktemp("clients") / "cluster"
    with running_cluster(data, tls=request.param == "tls") as running:
        yield running
