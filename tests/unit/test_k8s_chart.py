"""The Helm chart, rendered by helm itself: the same objects as the overlay, and free names."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import CUSTOM, objects
from tools import helm_chart, prometheus_rule
from tools.render_chart import render
from tools.render_k8s import RenderFailed

Key = tuple[str, str]
# Switches, and the objects that come or go with each.
OPTIONAL: Final = {
    "autoscaling.enabled": {
        ("ScaledObject", "agent"),
        ("TriggerAuthentication", "agent"),
        ("Certificate", "keda"),
        ("HorizontalPodAutoscaler", "gateway"),
    },
    "backup.enabled": {
        ("CronJob", "backup"),
        ("PersistentVolumeClaim", "backups"),
        ("ServiceAccount", "backup"),
    },
    "gatewayApi.enabled": {("HTTPRoute", "gateway"), ("BackendTLSPolicy", "gateway")},
    "ingress.enabled": {("Ingress", "gateway")},
    "signIn.enabled": {("NetworkPolicy", "oidc-provider")},
    "prometheusOperator.enabled": {("PodMonitor", "quorate"), ("PrometheusRule", "quorate")},
}
ALL_ON: Final = ("--set", "ingress.enabled=true", "--set", "prometheusOperator.enabled=true")


@cache
def chart(*flags: str, namespace: str = "quorate") -> dict[Key, dict[str, Any]]:
    documents = yaml.safe_load_all(render(*flags, namespace=namespace))
    return {(each["kind"], each["metadata"]["name"]): each for each in documents if each}


def overlay() -> dict[Key, dict[str, Any]]:
    """The overlay `prod`, with what the chart leaves out left out."""
    text = json.dumps([each for each in objects("prod") if each["kind"] != "Namespace"])
    for each in objects("prod"):
        if each["kind"] == "ConfigMap":
            name = each["metadata"]["name"]
            text = text.replace(f'"{name}"', f'"{name.rpartition("-")[0]}"')
    return {(each["kind"], each["metadata"]["name"]): each for each in json.loads(text)}


def test_the_chart_is_as_it_is_made() -> None:
    assert helm_chart.main(["--check"]) == 0


def test_helm_and_kustomize_render_the_same_objects() -> None:
    made, wanted = chart(), overlay()
    assert made.keys() == wanted.keys()
    for key, each in made.items():
        found = json.loads(json.dumps(each))
        if key[0] in ("Deployment", "StatefulSet"):
            # Instead of a hash in the name of the ConfigMap.
            checksum = found["spec"]["template"]["metadata"]["annotations"].pop("checksum/config")
            assert len(checksum) == 64
        if key[0] == "Job":
            hooks = found["metadata"].pop("annotations")
            assert hooks["helm.sh/hook"] == "post-install,post-upgrade"
        if key[0] == "ConfigMap":
            wanted[key].pop("metadata")
            assert found.pop("metadata")["namespace"] == "quorate"
        assert found == wanted[key], key


@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_every_object_fits_the_schema(version: str) -> None:
    checked = 0
    for each in chart(*ALL_ON, namespace="team-b").values():
        if (each["apiVersion"], each["kind"]) not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked > 30


def test_two_clusters_fit_into_one_kubernetes_cluster() -> None:
    first, second = chart(*ALL_ON), chart(*ALL_ON, namespace="team-b")
    assert all(
        each["metadata"].get("namespace") == "team-b" or each["kind"] == "PriorityClass"
        for each in second.values()
    )
    classes = {name for kind, name in second if kind == "PriorityClass"}
    assert classes == {"team-b-control", "team-b-gateway", "team-b-work"}
    assert not classes & {name for kind, name in first if kind == "PriorityClass"}
    text = json.dumps(list(second.values()))
    for left in (".quorate.svc", ".quorate.pod", "quorate/gateway-tls", '"quorate-control"'):
        assert left in json.dumps(list(first.values()))
        assert left not in text
    assert "scheduler.team-b.svc.cluster.local:7480" in text
    assert "*.team-b.pod.cluster.local" in text


@pytest.mark.parametrize("switch", OPTIONAL)
def test_a_switch_brings_its_objects_and_no_other(switch: str) -> None:
    on, off = (chart("--set", f"{switch}={value}") for value in ("true", "false"))
    assert on.keys() - off.keys() == OPTIONAL[switch]
    assert off.keys() <= on.keys()
    for name, replicas in (("agent", 3), ("gateway", 2)):
        own = off["Deployment", name]["spec"]
        assert own.get("replicas") == (replicas if switch == "autoscaling.enabled" else None)


def test_without_network_policies_sign_in_closes_nothing() -> None:
    flags = ("--set", "signIn.enabled=true", "--set", "networkPolicies.enabled=false")
    assert not [kind for kind, _ in chart(*flags) if kind == "NetworkPolicy"]


def test_the_address_of_the_documentation_is_a_value() -> None:
    made = chart(*ALL_ON, "--set", "docsUrl=https://docs.acme.org/q")
    text = json.dumps(made["PrometheusRule", "quorate"])
    assert "https://docs.acme.org/q/runbooks/alerts.html#quorateproblem" in text
    assert "docs.example.com" not in text
    assert prometheus_rule.text("https://docs.acme.org/q/").count("https://docs.acme.org/q/r") > 25
    assert "docs.example.com" not in prometheus_rule.text("https://docs.acme.org/q")


def test_values_change_what_they_say() -> None:
    made = chart(
        *("--set", "host=tasks.example.com", "--set", "image.repository=registry.example/q"),
        *("--set", "image.tag=2.0.0", "--set-string", "config.scheduler.QUORATE_LEASE_TTL=10"),
        *("--set", "scheduler.resources.limits.cpu=4", "--set", "etcd.storage=64Gi"),
    )
    plain = chart()
    assert made["HTTPRoute", "gateway"]["spec"]["hostnames"] == ["tasks.example.com"]
    hosts = made["ConfigMap", "gateway"]["data"]["QUORATE_GATEWAY_HOSTS"]
    assert hosts.startswith("tasks.example.com,gateway,")
    assert made["ConfigMap", "scheduler"]["data"]["QUORATE_LEASE_TTL"] == "10"
    settings = plain["ConfigMap", "scheduler"]["data"]
    assert made["ConfigMap", "scheduler"]["data"] == {**settings, "QUORATE_LEASE_TTL": "10"}
    pods = [(made[key], plain[key]) for key in made if key[0] in ("Deployment", "Job")]
    for new, old in pods:
        for where in ("containers", "initContainers"):
            for one in new["spec"]["template"]["spec"].get(where, ()):
                assert one["image"] == "registry.example/q:2.0.0"
        if new["kind"] == "Deployment":
            checksums = [
                each["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                for each in (new, old)
            ]
            # Changed settings roll the pods that read them.
            assert checksums[0] != checksums[1]
    (container,) = made["Deployment", "scheduler"]["spec"]["template"]["spec"]["containers"]
    assert str(container["resources"]["limits"]["cpu"]) == "4"
    (claim,) = made["StatefulSet", "etcd"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "64Gi"


def test_a_mistake_is_said_by_helm() -> None:
    with pytest.raises(RenderFailed, match="nil pointer evaluating"):
        render("--set", "etcd.image=null")
