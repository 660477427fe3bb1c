"""The ports of a local cluster: kept over restarts, claimed before they are probed."""

import gc
import random
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quorate.local import plan as plans
from quorate.local import ports as probing
from quorate.local.plan import LocalPlan
from quorate.local.ports import HOST, PortClaims
from quorate.runtime.errors import QuorateError
from quorate.security.same_user import PortHolds


@pytest.fixture
def claims() -> Iterator[PortClaims]:
    """What an `up` that has just started has: nothing."""
    with PortClaims() as claims:
        yield claims


@pytest.fixture
def probed(monkeypatch) -> list[int]:
    """Every port on which it was tried to listen."""
    asked: list[int] = []
    is_free: Callable[[int], bool] = probing.is_free

    def probe(port: int) -> bool:
        asked.append(port)
        return is_free(port)

    monkeypatch.setattr(probing, "is_free", probe)
    return asked


def test_ports_are_distinct_and_kept_over_restarts(tmp_path, claims):
    plan = LocalPlan(data_dir=tmp_path)
    ports = plan.choose_ports({}, claims)
    ours = {"s1", "s2", "n1", "n2", "n3"}
    assert set(ports) == {"etcd", "etcd-peer", *ours, *(f"{name}-health" for name in ours)}
    assert len(set(ports.values())) == len(ports)
    assert plan.choose_ports(ports, claims) == ports


def test_a_gateway_has_a_port_of_its_own_when_there_is_one(tmp_path, claims):
    plan = LocalPlan(data_dir=tmp_path, gateway=True)
    ports = plan.choose_ports({}, claims)
    assert len(set(ports.values())) == len(ports)
    assert plan.choose_ports(ports, claims) == ports
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert plan.choose_ports({"gateway": port}, claims)["gateway"] != port
        asked = LocalPlan(data_dir=tmp_path, gateway=True, gateway_port=port)
        with pytest.raises(QuorateError, match=f"port {port}.*--gateway-port") as caught:
            asked.choose_ports({}, claims)
    assert caught.value.reason == "PORT_IN_USE"
    argv = plan.gateway_argv(7, ["a:1", "b:2"])
    assert argv[argv.index("--listen") + 1] == "127.0.0.1:7"
    assert argv[argv.index("--schedulers") + 1] == "a:1,b:2"


def test_two_clusters_started_together_do_not_choose_the_same_gateway_port(
    tmp_path, monkeypatch, claims
):
    port = _unused()
    monkeypatch.setattr(plans, "GATEWAY_PORT", port)
    gateway = LocalPlan(data_dir=tmp_path, gateway=True)
    # The other's gateway has not bound it yet.
    with PortClaims() as other:
        assert other.take(port)
        assert gateway.choose_ports({}, claims)["gateway"] != port
    assert gateway.choose_ports({}, claims)["gateway"] == port


def test_a_scheduler_that_has_the_gateways_usual_port_keeps_it(tmp_path, monkeypatch, claims):
    port = _unused()
    monkeypatch.setattr(plans, "GATEWAY_PORT", port)
    plan = LocalPlan(data_dir=tmp_path, gateway=True)
    assert plan.choose_ports({"s1": port}, claims)["s1"] == port
    asked = LocalPlan(data_dir=tmp_path, gateway=True, port=port, schedulers=1)
    ports = asked.choose_ports({}, claims)
    assert ports["s1"] == port
    assert len(set(ports.values())) == len(ports)


def test_a_gateway_port_that_is_a_schedulers_is_refused(tmp_path):
    with pytest.raises(QuorateError) as caught:
        LocalPlan(data_dir=tmp_path, port=7000, schedulers=2, gateway=True, gateway_port=7001)
    assert caught.value.field == "gateway-port"
    LocalPlan(data_dir=tmp_path, port=7000, schedulers=2, gateway=True, gateway_port=7002)


def test_a_port_that_another_has_chosen_but_not_bound_is_not_chosen(tmp_path):
    plan = LocalPlan(data_dir=tmp_path)
    with PortClaims() as first:
        ports = plan.choose_ports({}, first)
    # Ours has ended, and another `up` is first to choose the port of n1.
    with PortClaims() as other, PortClaims() as second:
        assert other.take(ports["n1"])
        again = plan.choose_ports(ports, second)
    assert again.pop("n1") != ports.pop("n1")
    assert again == ports


def test_a_port_that_another_has_chosen_is_not_even_probed(tmp_path, claims, probed):
    with PortClaims() as other:
        ports = LocalPlan(data_dir=tmp_path).choose_ports({}, other)
        probed.clear()
        again = LocalPlan(data_dir=tmp_path).choose_ports(ports, claims)
        assert not {*probed} & {*ports.values()}
        assert sorted(probed) == sorted(again.values())
        # Nor one that was asked for.
        with pytest.raises(QuorateError) as caught:
            LocalPlan(data_dir=tmp_path, port=ports["s1"]).choose_ports({}, claims)
        assert caught.value.reason == "PORT_IN_USE"
        assert ports["s1"] not in probed


def test_a_remembered_port_that_is_taken_is_replaced(tmp_path, claims):
    plan = LocalPlan(data_dir=tmp_path)
    ports = plan.choose_ports({}, claims)
    with socket.socket() as taken:
        _listen(taken, ports["n1"])
        again = plan.choose_ports(ports, claims)
    assert again["n1"] != ports["n1"]
    assert again["n2"] == ports["n2"]


def test_a_port_is_not_replaced_by_one_that_another_process_had(tmp_path, claims, monkeypatch):
    """Once in some 1,000 starts the draw hit one, and that process got another port too."""
    plan = LocalPlan(data_dir=tmp_path)
    ports = plan.choose_ports({}, claims)
    # Of a node that is not there this time, but may be the next.
    remembered = {**ports, "n9": _unused()}
    fresh = _unused()
    draws = iter([remembered["n2"], remembered["n9"], remembered["n1"], fresh])
    monkeypatch.setattr(random, "choice", lambda _: next(draws))
    with socket.socket() as taken:
        _listen(taken, ports["n1"])
        assert plan.choose_ports(remembered, claims) == {**ports, "n1": fresh}


def test_an_asked_for_port_that_is_taken_is_refused(tmp_path, claims):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(QuorateError, match=f"port {port}") as caught:
            LocalPlan(data_dir=tmp_path, port=port).choose_ports({}, claims)
    assert caught.value.reason == "PORT_IN_USE"


def test_a_port_that_is_not_free_is_not_kept_from_others(claims):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not claims.take(port)
    with PortClaims() as other:
        assert other.take(port)


def test_claims_end_with_their_owner_and_leave_no_socket_open(tmp_path):
    plan = LocalPlan(data_dir=tmp_path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with PortClaims() as claims:
            ports = plan.choose_ports({}, claims)
        del claims
        gc.collect()
    assert not [str(one.message) for one in seen if one.category is ResourceWarning]
    with PortClaims() as other:
        assert plan.choose_ports(ports, other) == ports


def test_a_port_that_cannot_be_held_yet_is_not_chosen(tmp_path, monkeypatch):
    """One that a server without SO_REUSEPORT had: free to listen on, but for a minute not to hold.

    `quorate up` after `quorate up --secure`, or beside a gateway that had just ended, failed.
    """
    port = _unused()
    with socket.socket() as server:
        _listen(server, port)
        with socket.create_connection((HOST, port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    assert probing.is_free(port)
    monkeypatch.setattr(plans, "GATEWAY_PORT", port)
    with PortHolds() as holds, PortClaims(holds) as claims:
        ports = LocalPlan(data_dir=tmp_path, gateway=True).choose_ports({"s1": port}, claims)
        assert port not in ports.values()
        # What was chosen is held, but for etcd's, which has no port in the open.
        for name, one in ports.items():
            with socket.socket() as other:
                if name.startswith("etcd"):
                    _listen(other, one)
                else:
                    with pytest.raises(OSError, match="in use"):
                        _listen(other, one)
        asked = LocalPlan(data_dir=tmp_path, gateway=True, gateway_port=port)
        with pytest.raises(QuorateError, match=f"port {port}.*a minute ago") as caught:
            asked.choose_ports({}, claims)
        assert caught.value.reason == "PORT_IN_USE"
        # A cluster whose servers are not this user's alone need not hold it.
        secure = LocalPlan(data_dir=tmp_path, gateway=True, gateway_port=port, secure=True)
        assert secure.choose_ports({}, claims)["gateway"] == port


def _listen(server: socket.socket, port: int) -> None:
    """As servers do: what is left of connections to one that was there lately does not count."""
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()


def _unused() -> int:
    """Of those that an `up` draws: below them that the kernel gives to anybody who asks."""
    with PortClaims() as claims:
        return LocalPlan(data_dir=Path()).choose_ports({}, claims)["etcd"]


def test_amqp_has_a_port_of_its_own(tmp_path, claims):
    plan = LocalPlan(data_dir=tmp_path, gateway=True, amqp=True)
    ports = plan.choose_ports({}, claims)
    assert len(set(ports.values())) == len(ports)
    assert "amqp-health" not in ports
    assert plan.choose_ports(ports, claims) == ports
    argv = plan.gateway_argv(1, ["s:1"], ports["amqp"], ports["amqp-management"])
    assert argv[argv.index("--amqp") + 1] == f"{HOST}:{ports['amqp']}"
    management = argv[argv.index("--amqp-management") + 1]
    assert management == f"{HOST}:{ports['amqp-management']}"
    assert "--amqp" not in plan.gateway_argv(1, ["s:1"])
    assert "--amqp-management" not in plan.gateway_argv(1, ["s:1"])
