"""Fixtures for every test.

`etcd_server` is one real etcd for the whole run; tests keep apart by `key_prefix`. A test that
kills etcd, or changes what is common to all keys (compaction, authentication), starts its own with
`own_etcd`.
"""

from __future__ import annotations

import os

# Before gRPC is imported: its fork handlers make one in six of the processes that we start end
# before they begin, when calls are under way in another thread.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import asyncio
import contextlib
import gc
import itertools
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from xdist.remote import Producer

from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.network import free_port
from tests.support import shared_folders
from tests.support.needs import needed
from tests.support.rewritten import rewrite_share
from tests.support.spread import WholeFolders
from tests.support.tls import etcd_options, open_etcd
from tools.provision import driver
from tools.provision.place import Missing

# What passed once passes again, however busy the machine is. To look for what nobody has thought
# of: `make test ARGS="tests/property --hypothesis-profile=search"`.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile("repeatable")

_numbers = itertools.count(1)
_DESCRIPTORS = 16_384


def pytest_configure(config: pytest.Config) -> None:
    """Python before 3.11.5 cannot always parse a source again (gh-106905, "AST constructor").

    pytest does so to print a failure, and would end with INTERNALERROR instead of its report.
    """
    if sys.version_info < (3, 11, 5) and config.option.tbstyle == "auto":
        config.option.tbstyle = "native"
    # A shell starts what runs in its background with SIGINT ignored, and every program that a test
    # starts would inherit that: those that are to end by Ctrl-C would go on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Some tests hold more than the 1,024 descriptors that a login gives by default.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    # Each worker draws ports of its own: what one drew and does not use yet is free to another.
    name, count = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if name and count:
        vars(free_port)["PORTS"] = free_port.PORTS[int(name.removeprefix("gw")) :: int(count)]
    # A test that needs a browser and has none says so itself.
    with contextlib.suppress(Missing):
        driver.make_it_run()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    """A fixture without the tool that it needs skips its tests with one sentence."""
    with needed():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """A test without the tool that it needs is skipped with one sentence."""
    with needed():
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WholeFolders | None:
    """With `--dist loadfile` packages stay whole, too."""
    return WholeFolders(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Tests by the thousand stay to the end: the garbage collector need not look at them."""
    gc.disable()
    rewrite_share(session.config)
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Notes which folders of `tmp_path_factory` a fixture made: see `shared_folders`."""
    with shared_folders.made_by(fixturedef, request):
        return (yield)


def pytest_fixture_post_finalizer(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> None:
    """Removes the folders of a fixture that has ended."""
    shared_folders.ended(fixturedef, request)


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdProcess]:
    """A running etcd on free ports of 127.0.0.1, killed when the run ends."""
    folder = tmp_path_factory.mktemp("etcd")
    server = EtcdProcess(folder, die_with_parent=True, **etcd_options())
    asyncio.run(server.start())
    yield server
    asyncio.run(server.kill())


@pytest_asyncio.fixture
async def etcd_client(etcd_server: EtcdProcess) -> AsyncIterator[EtcdClient]:
    """A client of `etcd_server`."""
    async with open_etcd(etcd_server.endpoint) as client:
        yield client


@pytest.fixture
def key_prefix() -> bytes:
    """A key prefix that no other test uses."""
    return f"/test/{next(_numbers)}/".encode()


@pytest_asyncio.fixture
async def own_etcd(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[EtcdProcess]]]:
    """Starts etcds of the test's own: `await own_etcd(**arguments of EtcdProcess)`."""
    started: list[EtcdProcess] = []

    async def start(**arguments: object) -> EtcdProcess:
        folder = tmp_path / f"etcd-{len(started)}"
        given = arguments if "tls" in arguments else etcd_options() | arguments
        server = EtcdProcess(folder, die_with_parent=True, **given)
        started.append(server)
        await server.start()
        return server

    yield start
    for server in started:
        await server.kill()
