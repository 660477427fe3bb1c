"""Whose a host is: no claim of a service takes the gateway's own name, or another service's."""

from __future__ import annotations

import pytest

from gateway.http.hosts import names_of, rejection
from gateway.proxy.options import ProxyOptions
from gateway.proxy.routes import Routes

OWN = frozenset(("q.example",))


def routes(claims: dict[bytes, bytes], **options: object) -> Routes:
    return Routes(ProxyOptions(**{"hosts": OWN, **options}), claims)  # type: ignore[arg-type]


OWN_SPELLINGS = (
    "localhost",
    "LocalHost:80",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1.:7470",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "[::1]",
    "[::1]:7470",
    "[0:0:0:0:0:0:0:1]",
    "10.1.2.3",
    "Q.Example",
    "q.example.",
    "q.example.:443",
)


@pytest.mark.parametrize("host", OWN_SPELLINGS)
def test_no_claim_takes_a_name_of_the_gateway(host: str) -> None:
    bare = host.lower().partition(":")[0]
    claims = {name.encode(): b"evil" for name in (host, host.lower(), bare, bare.rstrip("."))}
    assert routes(claims).service_of(host.encode()) is None


@pytest.mark.parametrize("hosts", [None, OWN])
@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("shop.localhost:7470", b"shop"),
        ("Shop.LOCALHOST.", b"shop"),
        ("shop.apps.example", b"shop"),
        ("a.b.apps.example:1", b"a.b"),
        ("no_such.localhost", b"no_such"),
    ],
)
def test_a_host_below_a_domain_of_services_is_the_one_of_that_name(host, name, hosts) -> None:
    """Whether it exists or not, and whoever claims it: it may come later."""
    claims = {
        host.lower().encode(): b"evil",
        b"shop.localhost": b"evil",
        b"shop.apps.example": b"e",
    }
    made = routes(claims, domain="apps.example", hosts=hosts)
    assert made.service_of(host.encode()) == name


@pytest.mark.parametrize("host", ["web.example", "WEB.example", "web.example.", "web.example.:80"])
def test_a_claimed_host_is_the_services_where_the_gateway_knows_its_own(host: str) -> None:
    claims = {b"web.example": b"web"}
    assert routes(claims).service_of(host.encode()) == b"web"
    # Any name could be the gateway's: whoever claimed that would get its callers' tokens.
    assert routes(claims, hosts=None).service_of(host.encode()) is None


def test_nobody_gets_the_domain_of_all_services() -> None:
    """Its pages could set cookies that every service below it gets."""
    claims = {b"apps.example": b"evil", b"example": b"e"}
    made = routes(claims, domain="apps.example")
    for host in (b"apps.example", b"Apps.Example.:80"):
        assert made.service_of(host) is None
    assert routes(claims).service_of(b"apps.example") == b"evil"


def test_a_claim_that_ends_has_no_effect_any_more() -> None:
    claims = {b"web.example": b"web"}
    made = routes(claims)
    assert made.service_of(b"web.example") == b"web"
    claims.clear()
    made.on_changed()
    assert made.service_of(b"web.example") is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost:7470", "web.localhost:7470"),
        ("127.0.0.1:7470", "web.localhost:7470"),
        ("[::1]:7470", "web.localhost:7470"),
        ("q.example", "web.apps.example"),
        ("q.example:8443", "web.apps.example:8443"),
        ("10.0.0.7:7470", None),
    ],
)
def test_the_address_of_a_service_for_somebody_at_the_gateway(host: str, address: str) -> None:
    assert routes({}, domain="apps.example").address_of("web", host.encode()) == address


def test_the_table_of_hosts_is_bounded() -> None:
    made = routes({})
    for number in range(3_000):
        made.service_of(b"h%d.example" % number)
    assert len(made._known) <= 1_024


@pytest.mark.parametrize("host", ["intranet", "gateway:7470", "evil.example", "localhost.evil"])
def test_a_gateway_on_loopback_refuses_names_that_nobody_configured(host: str) -> None:
    fault = rejection(host, names_of("", loopback=True))
    assert fault is not None
    assert fault.status == 421
    assert rejection(host, names_of("", loopback=False)) is None
    assert rejection(host, names_of(f"{host.partition(':')[0]}.", loopback=True)) is None
