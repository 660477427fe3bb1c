"""`quorate service create` and `update`: rules about nodes and other tasks."""

from __future__ import annotations

from tests.unit import test_cli_services
from tests.unit.test_cli_services import FakeRegistry, Quorate

registry = test_cli_services.registry
quorate = test_cli_services.quorate


def test_a_service_chooses_nodes(quorate: Quorate, registry: FakeRegistry):
    rules = ("--where", "disk=ssd", "--tolerate", "gpu", "--distinct", "app", "--spread", "zone")
    quorate("create", "web", "--label", "app=web", *rules, "--", "web")
    placement = registry.services["web"].spec.placement
    assert [(rule.label, list(rule.values)) for rule in placement.nodes] == [("disk", ["ssd"])]
    assert [one.key for one in placement.tolerations] == ["gpu"]
    assert (list(placement.distinct), placement.spread) == (["app"], "zone")
    _, out, _ = quorate("show", "web")
    said = "disk = ssd; tolerates gpu; on a node of its own by app; spread over zone"
    assert said in " ".join(out.split())
    quorate("update", "web", "--prefer", "zone=a", "--near", "app=db", "--placement", "bin-pack")
    quorate("update", "web", "--any-node")
    some, none = (request.update_mask.paths for request in registry.updates)
    assert list(some) == [
        *("spec.placement.nodes", "spec.placement.near"),
        *("spec.placement.strategy", "spec.placement.spread"),
    ]
    assert list(none) == ["spec.placement"]
    assert not registry.updates[1].service.spec.HasField("placement")
    for words in (
        ("--any-node", "--where", "a=b"),
        (
            "--where",
            "=",
        ),
    ):
        code, _, err = quorate("update", "web", *words)
        assert code == 2, err
