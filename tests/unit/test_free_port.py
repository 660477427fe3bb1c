"""Ports for servers: none that an outgoing connection could get, none that is taken."""

from __future__ import annotations

import random
import socket
from collections import deque
from itertools import cycle
from pathlib import Path

import pytest

from node_agent.services.ports import NoPort, Ports
from quorate.runtime.errors import QuorateError
from quorate.runtime.network import free_port as module
from quorate.runtime.network.free_port import PORTS, free_port

KERNELS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _only(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Draw these, in turn, and the last one from then on."""
    left = list(ports)
    monkeypatch.setattr(module, "_drawn", deque(maxlen=1_000))
    monkeypatch.setattr(random, "choice", lambda _: left.pop(0) if len(left) > 1 else left[0])


@pytest.mark.skipif(not KERNELS.exists(), reason="only Linux says which ports these are")
def test_no_port_is_one_that_the_kernel_gives_to_outgoing_connections() -> None:
    # Machines with a lower range than the default are set up by people who know.
    least = min(32_768, int(KERNELS.read_text().split()[0]))
    for everywhere in (False, True):
        assert all(free_port(everywhere=everywhere) < least for _ in range(200))
    taken = Ports()
    assert all(taken.take() < least for _ in range(200))


def test_a_port_on_which_somebody_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        other = next(one for one in PORTS if one != port and module._is_free(one, True))
        for everywhere in (False, True):
            _only(monkeypatch, port, other)
            assert free_port(everywhere=everywhere) == other


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is one kind of address")
def test_free_everywhere_is_free_on_the_other_addresses_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port(everywhere=True)
    with socket.create_server(("127.0.0.2", port)):
        _only(monkeypatch, port)
        assert free_port() == port
        with pytest.raises(QuorateError, match="none of 100 ports of the machine is free"):
            free_port(everywhere=True)


def test_where_none_is_free_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        _only(monkeypatch, server.getsockname()[1])
        with pytest.raises(QuorateError) as refused:
            free_port()
        assert refused.value.reason == "NO_FREE_PORT"
        with pytest.raises(NoPort, match="none of 100 ports"):
            Ports().take()


def test_a_port_is_not_given_to_two_servers_that_are_both_still_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = (free_port() for _ in range(2))
    _only(monkeypatch, one)
    draws = cycle((one, other))
    monkeypatch.setattr(random, "choice", lambda _: next(draws))
    assert {free_port(), free_port()} == {one, other}
    with pytest.raises(QuorateError, match="is free"):
        free_port()
