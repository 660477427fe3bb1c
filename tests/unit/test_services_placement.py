"""Services that choose the nodes of their replicas."""

from __future__ import annotations

from typing import Any

from scheduler.core.model.rows import Control
from scheduler.core.place_rules import Taint
from tests.support.core import Cluster
from tests.support.core_specs import spec

ON_SSD: dict[str, Any] = {"nodes": [{"label": "disk", "values": ["ssd"]}]}


def nodes_of(c: Cluster, service: str) -> list[str]:
    """Where its replicas are; "" for one that waits."""
    return sorted(c.row(task).node for task in c.replicas(service))


def test_replicas_run_where_the_rules_allow_them() -> None:
    c = Cluster()
    c.node("n1", labels={"disk": "hdd"})
    c.node("n2", labels={"disk": "ssd"})
    c.service("web", replicas=2, placement=ON_SSD)
    assert nodes_of(c, "web") == ["n2", "n2"]


def test_replicas_start_on_a_node_whose_slots_are_all_taken() -> None:
    c = Cluster()
    c.node("n1", credit=1, labels={"disk": "ssd"})
    c.submit(spec())
    c.service("web", replicas=2, placement=ON_SSD)
    assert nodes_of(c, "web") == ["n1", "n1"]


def test_replicas_tolerate_the_taints_that_they_name() -> None:
    c = Cluster()
    c.node("n1")
    c.control("n1", Control(taints=(Taint("dedicated", "ml"),)))
    c.service("web", replicas=1)
    c.service("ml", replicas=1, placement={"tolerations": [{"key": "dedicated"}]})
    assert (nodes_of(c, "web"), nodes_of(c, "ml")) == ([""], ["n1"])


def test_replicas_have_the_labels_of_their_service() -> None:
    c = Cluster()
    for name in ("n1", "n2"):
        c.node(name, credit=4)
    placement = {"distinct": ["app"]}
    c.service("web", replicas=3, labels={"app": "web"}, placement=placement)
    assert nodes_of(c, "web") == ["", "n1", "n2"]
    c.service("db", replicas=1, labels={"app": "db"})
    # Tasks and replicas are near each other alike.
    (at,) = nodes_of(c, "db")
    near = {"near": [{"label": "app", "value": "db"}]}
    c.service("cache", replicas=1, placement=near)
    assert nodes_of(c, "cache") == [at]


def test_other_rules_replace_the_replicas_one_by_one() -> None:
    c = Cluster()
    c.node("n1", credit=4, labels={"disk": "hdd"})
    c.service("web", replicas=2)
    c.healthy("web")
    c.node("n2", credit=4, labels={"disk": "ssd"})
    c.update("web", replicas=2, placement=ON_SSD)
    assert nodes_of(c, "web") == ["n1", "n1", "n2"]
    for _ in range(3):
        c.healthy("web")
    assert nodes_of(c, "web") == ["n2", "n2"]
    assert len(c.ending("web")) == 2


def test_a_scale_changes_no_replica_that_is_there() -> None:
    c = Cluster()
    c.node("n1", credit=4, labels={"disk": "ssd"})
    c.service("web", replicas=1, placement=ON_SSD)
    before = c.replicas("web")
    c.update("web", replicas=2, placement=ON_SSD)
    assert set(before) < set(c.replicas("web"))
