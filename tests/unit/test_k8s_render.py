"""Overlays and components render, fit the schemas of Kubernetes, and refer to what exists."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import (
    BY_HAND,
    CUSTOM,
    VARIANTS,
    container_of,
    environment,
    labels_of,
    named,
    objects,
    of_kind,
    pod_of,
    selects,
    workloads,
)
from tools import prometheus_rule

# From the oldest version whose schemas know all fields to the newest that there is.
VERSIONS = ("1.31", "1.32", "1.33", "1.34", "1.35", "1.36", kubernetes_validate.latest_version())

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def test_newest_schemas_are_of_kubernetes_1_37_or_later() -> None:
    assert tuple(map(int, VERSIONS[-1].split(".")[:2])) >= (1, 37)


@pytest.mark.parametrize(
    ("variant", "version"),
    # The variants consist of the same objects: the other schemas see the overlays alone.
    [
        *((each, VERSIONS[0]) for each in VARIANTS),
        *((each, version) for each in ("dev", "prod") for version in VERSIONS[1:]),
    ],
)
def test_every_object_fits_the_schema(variant: str, version: str) -> None:
    checked = 0
    for each in objects(variant):
        if (each["apiVersion"], each["kind"]) not in CUSTOM:
            fits(json.dumps(each, sort_keys=True), version)
            checked += 1
    assert checked >= 25


@cache
def fits(each: str, version: str) -> None:
    """Raises ValidationError. Once for each object: variants share most of theirs."""
    kubernetes_validate.validate(json.loads(each), version, strict=True)


def test_schemas_are_strict() -> None:
    broken = json.loads(json.dumps(named("dev", "Deployment", "scheduler")))
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


@every_variant
def test_no_object_is_there_twice_and_all_are_in_the_namespace(variant: str) -> None:
    keys = [(e["kind"], e["metadata"]["name"]) for e in objects(variant)]
    assert len(keys) == len(set(keys))
    for each in objects(variant):
        outside = each["kind"] in ("Namespace", "PriorityClass")
        assert each["metadata"].get("namespace") == (None if outside else "quorate"), each


@every_variant
def test_what_pods_refer_to_is_there(variant: str) -> None:
    there = {(e["kind"], e["metadata"]["name"]) for e in objects(variant)}
    secrets = BY_HAND | {e["spec"]["secretName"] for e in of_kind(variant, "Certificate")}
    for name, workload in workloads(variant):
        pod, container = pod_of(workload), container_of(workload)
        assert ("ServiceAccount", pod["serviceAccountName"]) in there
        assert ("PriorityClass", pod["priorityClassName"]) in there
        for source in container.get("envFrom", ()):
            assert ("ConfigMap", source["configMapRef"]["name"]) in there
        claims = workload["spec"].get("volumeClaimTemplates", ())
        volumes = {e["name"] for e in (*pod.get("volumes", ()), *(c["metadata"] for c in claims))}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
        for volume in pod.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in there
            if "secret" in volume and not volume["secret"].get("optional"):
                assert volume["secret"]["secretName"] in secrets
        # Every file that a variable names is below a mount, or one itself.
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        for key, value in environment(variant, workload).items():
            if value.startswith("/"):
                assert any(f"{value}/".startswith(path + "/") for path in paths), key


@every_variant
def test_services_budgets_and_scalers_find_their_pods(variant: str) -> None:
    pods = {name: (labels_of(w), container_of(w)) for name, w in workloads(variant)}
    for name, workload in workloads(variant):
        assert selects(workload["spec"]["selector"], pods[name][0])
    for service in of_kind(variant, "Service"):
        taken = [c for labels, c in pods.values()
                 if selects({"matchLabels": service["spec"]["selector"]}, labels)]  # fmt: skip
        assert len(taken) == 1, service
        offered = {port["name"]: port["containerPort"] for port in taken[0]["ports"]}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in offered
            if service["spec"].get("clusterIP") == "None":
                # A headless service is a name only: nobody translates ports.
                assert port["port"] == offered[port["targetPort"]]
    for budget in of_kind(variant, "PodDisruptionBudget"):
        assert sum(selects(budget["spec"]["selector"], labels) for labels, _ in pods.values()) == 1
    for scaler in of_kind(variant, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]
        scaled = named(variant, target["kind"], target["name"])
        # Else every `kubectl apply` would undo what was scaled.
        assert "replicas" not in scaled["spec"]
    for ingress in of_kind(variant, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = named(variant, "Service", backend["name"])["spec"]["ports"]
                assert backend["port"]["name"] in {port["name"] for port in ports}


def test_daemonset_has_the_pods_of_the_deployment() -> None:
    template = named("dev, an agent a machine", "DaemonSet", "agent")["spec"]["template"]
    wanted = json.loads(json.dumps(named("dev", "Deployment", "agent")["spec"]["template"]))
    # There is one on each machine already.
    del wanted["spec"]["topologySpreadConstraints"]
    assert template == wanted
    assert not [e for e in of_kind("dev, an agent a machine", "Deployment")
                if e["metadata"]["name"] == "agent"]  # fmt: skip


def test_external_etcd_leaves_no_etcd_of_ours() -> None:
    component = "app.kubernetes.io/component"
    assert not [e for e in objects("external etcd") if e["metadata"]["name"] == "etcd"
                and e["kind"] not in ("ConfigMap", "Certificate")]  # fmt: skip
    (policy,) = (e for e in of_kind("external etcd", "NetworkPolicy")
                 if e["metadata"]["name"] == "external-etcd")  # fmt: skip
    for name in ("scheduler", "agent"):
        assert selects(policy["spec"]["podSelector"], {component: name})


def _keys(value: dict[str, Any], allowed: set[str], needed: set[str]) -> None:
    assert needed <= set(value) <= allowed, value


def test_shapes_of_cert_managers_kinds() -> None:
    """By hand, after cert-manager.io/docs/reference/api-docs (v1)."""
    issuers = {e["metadata"]["name"]: e["spec"] for e in of_kind("prod", "Issuer")}
    secrets = {e["spec"]["secretName"] for e in of_kind("prod", "Certificate")}
    for spec in issuers.values():
        assert spec in ({"selfSigned": {}}, {"ca": {"secretName": "quorate-ca"}})
    assert "quorate-ca" in secrets
    known = {"secretName", "commonName", "dnsNames", "duration", "renewBefore", "privateKey",
             "usages", "issuerRef", "isCA"}  # fmt: skip
    for each in of_kind("prod", "Certificate"):
        spec = each["spec"]
        _keys(spec, known, known - {"dnsNames", "isCA", "usages"})
        assert spec["issuerRef"]["kind"] == "Issuer"
        assert spec["issuerRef"]["name"] in issuers
        assert spec["privateKey"] == {
            "algorithm": "ECDSA", "size": 256, "encoding": "PKCS8",
            "rotationPolicy": "Never" if spec.get("isCA") else "Always",
        } or (spec.get("isCA") and spec["privateKey"]["rotationPolicy"] == "Never")  # fmt: skip
        assert int(spec["renewBefore"].removesuffix("h")) < int(spec["duration"].removesuffix("h"))
        # RFC 5280: the upper bound of a common name.
        assert len(spec["commonName"]) <= 64


def test_shapes_of_kedas_kinds() -> None:
    """By hand, after keda.sh/docs/latest/reference/scaledobject-spec and scalers/external-push."""
    (scaled,) = of_kind("prod", "ScaledObject")
    (authentication,) = of_kind("prod", "TriggerAuthentication")
    spec = scaled["spec"]
    _keys(
        spec,
        {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval",
         "cooldownPeriod", "advanced", "fallback", "triggers"},
        {"scaleTargetRef", "triggers"},
    )  # fmt: skip
    assert 0 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    assert set(spec["advanced"]) == {"horizontalPodAutoscalerConfig"}
    (trigger,) = spec["triggers"]
    _keys(trigger, {"type", "metricType", "metadata", "authenticationRef"}, {"type", "metadata"})
    assert trigger["type"] == "external-push"
    assert trigger["metricType"] == "AverageValue"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    certificates = {e["spec"]["secretName"] for e in of_kind("prod", "Certificate")}
    parameters = set()
    for reference in authentication["spec"]["secretTargetRef"]:
        _keys(reference, {"parameter", "name", "key"}, {"parameter", "name", "key"})
        assert reference["name"] in certificates
        assert reference["key"] in ("ca.crt", "tls.crt", "tls.key")
        parameters.add(reference["parameter"])
    assert parameters == {"caCert", "tlsClientCert", "tlsClientKey"}


def test_the_route_leads_to_the_gateway() -> None:
    """By hand, after gateway-api.sigs.k8s.io/reference/spec (HTTPRoute, BackendTLSPolicy v1)."""
    (route,) = of_kind("prod", "HTTPRoute")
    _keys(route["spec"], {"parentRefs", "hostnames", "rules"}, {"parentRefs", "rules"})
    (rule,) = route["spec"]["rules"]
    _keys(rule, {"timeouts", "backendRefs"}, {"backendRefs"})
    # Streams last for hours.
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    (backend,) = rule["backendRefs"]
    service = named("prod", "Service", backend["name"])["spec"]
    ports = {port["port"]: port["name"] for port in service["ports"]}
    (policy,) = of_kind("prod", "BackendTLSPolicy")
    _keys(policy["spec"], {"targetRefs", "validation"}, {"targetRefs", "validation"})
    (target,) = policy["spec"]["targetRefs"]
    assert target == {
        "group": "",
        "kind": "Service",
        "name": backend["name"],
        "sectionName": ports[backend["port"]],
    }
    (authority,) = policy["spec"]["validation"]["caCertificateRefs"]
    assert authority == {"group": "", "kind": "ConfigMap", "name": "gateway-ca"}


def test_the_prometheus_operator_scrapes_every_pod_and_has_every_alert() -> None:
    assert prometheus_rule.main(["--check"]) == 0
    (rule,) = of_kind("Prometheus operator", "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(prometheus_rule.ALERTS.read_text())
    (monitor,) = of_kind("Prometheus operator", "PodMonitor")
    _keys(monitor["spec"], {"selector", "podMetricsEndpoints"}, {"selector", "podMetricsEndpoints"})
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for name, workload in workloads("Prometheus operator"):
        assert selects(monitor["spec"]["selector"], labels_of(workload)), name
        ports = {port["name"] for port in container_of(workload)["ports"]}
        assert endpoint["port"] in ports, name
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        assert endpoint["path"] == annotations["prometheus.io/path"]
