"""A wrong address is told soon and in words; a failover is still waited for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.futures.executor import Executor
from quorate.client.transport.contact import explained
from quorate.client.transport.rpcs import TryAgain, stops
from quorate.runtime.errors import QuorateError
from tests.support.fake_scheduler import FakeCluster, FakeServer

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def web_server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def other_grpc_server() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_an_address_where_nothing_listens_is_given_up_early() -> None:
    begun = time.monotonic()
    with (
        Client(NOWHERE, retry_for=300, connect_for=0.3) as client,
        pytest.raises(QuorateError) as caught,
    ):
        client.cluster()
    assert f"{NOWHERE} cannot be reached: connection refused" in str(caught.value)
    assert time.monotonic() - begun < 100


async def test_the_async_client_gives_up_early_too() -> None:
    async with AsyncClient(NOWHERE, retry_for=300, connect_for=0.3) as client:
        with pytest.raises(QuorateError, match="cannot be reached"):
            await client.cluster()


def test_an_executor_is_told_of_a_wrong_address_too() -> None:
    with (
        Client(NOWHERE, retry_for=300, connect_for=0.3) as client,
        Executor(client=client) as pool,
        pytest.raises(QuorateError, match="cannot be reached: connection refused"),
    ):
        pool.submit(pow, 2, 3).result(60)


async def test_a_map_of_the_async_client_is_told_too(web_server: str) -> None:
    async with AsyncClient(web_server, retry_for=300, connect_for=0.3) as client:
        with pytest.raises(QuorateError, match=r"speaks no gRPC"):
            [value async for value in client.map(abs, [1])]


def test_a_cluster_that_was_reached_is_waited_for() -> None:
    cluster = FakeCluster()
    server = FakeServer(cluster)
    with Client(server.address, retry_for=300, connect_for=0.0) as client:
        client.cluster()
        assert client.calls.patience(300) == 300
    with Client(server.address, retry_for=300, connect_for=0.1) as client:
        assert client.calls.patience(300) == 0.1
    cluster.close()


@pytest.fixture
def closing_server() -> Iterator[str]:
    """Accepts and closes, as a server with TLS does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_hangs_up_is_given_up_early(closing_server: str) -> None:
    with (
        Client(closing_server, retry_for=300, connect_for=0.3) as client,
        pytest.raises(QuorateError, match="another server, or needs TLS"),
    ):
        client.cluster()


def test_a_web_server_is_named_as_such(web_server: str) -> None:
    with Client(web_server, retry_for=300) as client, pytest.raises(QuorateError) as caught:
        client.cluster()
    assert caught.value.reason == "NOT_A_SCHEDULER"
    assert f"{web_server} speaks no gRPC" in str(caught.value)


def test_another_grpc_server_is_named_as_such(other_grpc_server: str) -> None:
    with Client(other_grpc_server) as client, pytest.raises(QuorateError) as caught:
        client.cluster()
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert "another gRPC server" in str(caught.value)


def test_etcd_is_no_scheduler() -> None:
    said = QuorateError(
        grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED", "unknown service quorate.v1.Scheduler"
    )
    assert str(explained(said, "h:2379")).startswith("h:2379 is not a scheduler")


def test_a_name_that_is_not_known_is_named() -> None:
    with (
        Client("nohost.invalid:7466", retry_for=300, connect_for=0.1) as client,
        pytest.raises(QuorateError, match=r'host name "nohost\.invalid"'),
    ):
        client.cluster()


def test_rejections_of_a_reached_cluster_are_retried_for_the_whole_time() -> None:
    class Outcome:
        def exception(self) -> BaseException:
            return TryAgain(
                QuorateError(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "Connection refused")
            )

    class State:
        attempt_number = 5
        seconds_since_start = 30.0
        outcome = Outcome()

    assert not stops(1, 60.0, 60.0)(State())  # type: ignore[arg-type]
    assert stops(1, 60.0, 10.0)(State())  # type: ignore[arg-type]


def test_the_command_line_gives_up_unless_told_otherwise(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorate.cli.common._CONNECT_PATIENCE", 0.1)
    assert run(["tasks", "--address", NOWHERE]) == 4
    assert "cannot be reached: connection refused" in capfd.readouterr().err
