"""A host name is one service's: who claims another's is told whose it is."""

from __future__ import annotations

import grpc
import pytest

from scheduler.api.asking import refused
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection, ServiceSeen
from scheduler.core.values import ServiceName
from tests.support.core import Cluster
from tests.support.core_log import Log

SHOP = "shop.example"


def taken(answer: object, by: str, place: int = 0) -> None:
    assert isinstance(answer, Rejection), answer
    error = refused(answer)
    field = f"service.spec.proxy.hosts[{place}]"
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "HOST_TAKEN")
    assert error.metadata == {"service": by, "field": field}
    assert error.message.startswith(f"{field}: '{SHOP}' is a host of service '{by}'")


@pytest.mark.parametrize("host", [SHOP, "Shop.EXAMPLE"])
def test_a_new_service_does_not_get_anothers_host(host: str) -> None:
    c = Cluster()
    assert isinstance(c.service("web", hosts=[SHOP]), ServiceSeen)
    taken(c.service("api", hosts=["api.example", host]), "web", 1)
    assert ServiceName("api") not in c.state.services
    assert isinstance(c.service("api", hosts=["api.example"]), ServiceSeen)


def test_an_update_does_not_get_anothers_host() -> None:
    c = Cluster()
    c.service("web", hosts=[SHOP])
    c.service("api", replicas=1)
    before = c.state.services[ServiceName("api")].spec
    taken(c.update("api", replicas=2, hosts=[SHOP]), "web")
    assert c.state.services[ServiceName("api")].spec == before
    # Its own are no obstacle.
    assert isinstance(c.update("web", replicas=1, hosts=[SHOP, "www.example"]), ServiceSeen)


def test_a_host_that_was_given_up_may_be_taken() -> None:
    c = Cluster()
    c.service("web", hosts=[SHOP])
    c.update("web", hosts=["www.example"])
    assert isinstance(c.service("api", hosts=[SHOP]), ServiceSeen)
    taken(c.update("web", hosts=["www.example", SHOP]), "api", 1)


def test_a_service_keeps_its_hosts_until_it_is_gone() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1, hosts=[SHOP])
    (task,) = c.replicas("web")
    node.start(task)
    c.delete_service("web")
    rejection = c.service("api", hosts=[SHOP])
    taken(rejection, "web")
    assert isinstance(rejection, Rejection)
    assert rejection.message.endswith("which is being deleted")
    node.fail(task, "CANCELLED")
    assert ServiceName("web") not in c.state.services
    assert isinstance(c.service("api", hosts=[SHOP]), ServiceSeen)


def test_of_two_that_ask_before_either_is_durable_the_first_gets_it() -> None:
    c = Cluster(log=Log())
    answers = [c.service(name, hosts=[SHOP]) for name in ("b", "a")]
    assert isinstance(answers[0], ServiceSeen)
    taken(answers[1], "b")


def test_a_repeated_claim_gets_its_first_answer() -> None:
    c = Cluster()
    request = e.Request("r1", b"digest")
    assert isinstance(c.service("web", request, hosts=[SHOP]), ServiceSeen)
    assert isinstance(c.service("web", request, hosts=[SHOP]), ServiceSeen)


@pytest.mark.parametrize("how", ["followed", "loaded"])
def test_the_next_leader_knows_whose_hosts_are_whose(how: str) -> None:
    c = Cluster(log=Log())
    c.service("web", hosts=["SHOP.example"])
    assert c.log is not None
    c.lead(c.log.followed() if how == "followed" else c.log.loaded().state)
    taken(c.service("api", hosts=[SHOP]), "web")


def test_claims_from_before_this_rule_do_not_hold_up_other_changes() -> None:
    c = Cluster()
    c.service("web", hosts=[SHOP])
    c.service("api")
    row = c.state.services[ServiceName("api")]
    row.spec = c.state.services[ServiceName("web")].spec
    assert isinstance(c.update("api", replicas=2, hosts=[SHOP]), ServiceSeen)
