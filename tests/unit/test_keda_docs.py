"""docs/autoscaling.md and the manifests say what the scaler takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from node_agent.task.machine import size_in_bytes
from quorate.cli.app import application
from scheduler.autoscaling.ask import KEYS, MAX_LEAVING, Ask, parse
from scheduler.autoscaling.scale_down import ASKED_WITHIN
from scheduler.autoscaling.surplus import LONGEST

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "autoscaling.md").read_text()


def test_the_page_lists_every_key_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
    assert set(rows) == KEYS
    given = {key: text.strip(" `") for key, text in rows.items()}
    defaults = Ask()
    assert given["queues"] == ",".join(defaults.queues)
    assert int(given["slotsPerNode"]) == defaults.shape.slots
    assert int(given["minNodes"]) == defaults.min_nodes
    assert int(given["maxNodes"]) == defaults.max_nodes
    assert float(given["idleSeconds"]) == defaults.idle_seconds
    assert float(given["leavingSeconds"]) == defaults.leaving_seconds


def test_the_page_says_how_long_marks_last() -> None:
    assert f"for {ASKED_WITHIN:g} s" in TEXT
    assert f"after {LONGEST:g} s" in TEXT
    assert f"0 to {MAX_LEAVING:g} s" in TEXT


def manifests() -> tuple[Any, Any]:
    """The agent's container and the ScaledObject."""
    documents = yaml.safe_load_all((ROOT / "k8s/base/agent.yaml").read_text())
    (deployment,) = (each for each in documents if each["kind"] == "Deployment")
    (agent,) = deployment["spec"]["template"]["spec"]["containers"]
    documents = yaml.safe_load_all((ROOT / "k8s/components/autoscaling/agent.yaml").read_text())
    (scaled,) = (each for each in documents if each["kind"] == "ScaledObject")
    return agent, scaled["spec"]


def test_a_mark_outlasts_the_probe_that_is_to_see_it() -> None:
    """In `k8s/base`, and before the first pod may be ended."""
    agent, scaled = manifests()
    probe = agent["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert noticed < parse(scaled["triggers"][0]["metadata"]).leaving_seconds
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] < LONGEST


def test_the_manifest_asks_for_what_an_agent_offers() -> None:
    """Slots and cores by its settings, which are its requests; memory by its request."""
    agent, scaled = manifests()
    asked = parse(scaled["triggers"][0]["metadata"]).shape
    resources = agent["resources"]
    assert asked.slots == asked.cpu == float(resources["requests"]["cpu"])
    assert asked.memory == size_in_bytes(resources["requests"]["memory"])
    told = {each["name"]: each.get("valueFrom", {}) for each in agent["env"]}
    assert told["QUORATE_MEMORY"]["resourceFieldRef"]["resource"] == "requests.memory"
    said = (ROOT / "k8s/base/kustomization.yaml").read_text()
    for name in ("QUORATE_SLOTS", "QUORATE_CPU"):
        assert f"- {name}={resources['requests']['cpu']}\n" in said


def test_the_example_and_the_manifest_are_taken() -> None:
    example, _consumers = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    manifest = (ROOT / "k8s/components/autoscaling/agent.yaml").read_text()
    found = [yaml.safe_load(example), *yaml.safe_load_all(manifest)]
    triggers = [t for each in found for t in each["spec"].get("triggers", ())]
    assert len(triggers) == 2
    for trigger in triggers:
        assert trigger["type"] == "external-push"
        assert trigger.get("metricType", "AverageValue") == "AverageValue"
        assert parse(trigger["metadata"]).max_nodes == 20


def test_commands_for_an_operator_exist() -> None:
    commands = re.findall(r"^ *\$ quorate (\w+)", TEXT, re.MULTILINE)
    assert set(commands) == {"nodes", "drain"}
    for command in commands:
        assert CliRunner().invoke(application(), [command, "--help"]).exit_code == 0


def test_the_example_for_consumers_reads_the_management_api() -> None:
    _, example = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (trigger,) = yaml.safe_load(example)["spec"]["triggers"]
    assert (trigger["type"], trigger["metadata"]["protocol"]) == ("rabbitmq", "http")
    service = yaml.safe_load((ROOT / "k8s/components/amqps/service.yaml").read_text())
    ports = {each["name"]: each["port"] for each in service["spec"]["ports"]}
    assert f"@gateway.quorate.svc:{ports['amqp-management']}/" in example
