"""The list that every workload under k8s/ must meet: what it may not do, and who may reach it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.manifests import (
    PROGRAMS,
    VARIANTS,
    container_of,
    environment,
    labels_of,
    named,
    objects,
    of_kind,
    pod_of,
    quantity,
    selects,
    workloads,
)

every_variant = pytest.mark.parametrize("variant", VARIANTS)
COMPONENT = "app.kubernetes.io/component"
MANAGEMENT = "amqp-management"


def _pods(variant: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, workload in workloads(variant):
        yield name, pod_of(workload), container_of(workload)


def _has_task_user(variant: str) -> bool:
    """Whether its agents are root in their pod, so that tasks are somebody else."""
    return "QUORATE_TASK_USER" in environment(variant, dict(workloads(variant))["agent"])


@every_variant
def test_namespace_enforces_restricted_pods(variant: str) -> None:
    labels = named(variant, "Namespace", "quorate")["metadata"]["labels"]
    wanted = "baseline" if _has_task_user(variant) else "restricted"
    assert labels["pod-security.kubernetes.io/enforce"] == wanted
    # With the rules of one version: `latest` would change under a running cluster.
    assert labels["pod-security.kubernetes.io/enforce-version"] == "v1.34"


@every_variant
def test_pods_are_confined(variant: str) -> None:
    for name, pod, container in _pods(variant):
        for flag in ("hostNetwork", "hostPID", "hostIPC"):
            assert flag not in pod, name
        assert not [v for v in pod.get("volumes", ()) if "hostPath" in v], name
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["privileged"] is False, name
        assert security["capabilities"]["drop"] == ["ALL"], name
        if name == "agent" and _has_task_user(variant):
            continue  # the test below
        assert not pod.get("initContainers"), name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] >= 10_000, name
        assert pod["securityContext"]["runAsGroup"] >= 10_000, name
        assert security["runAsNonRoot"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        for context in (pod["securityContext"], security):
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        # Secrets are for this pod's group alone, and not for writing.
        for volume in pod.get("volumes", ()):
            if "secret" in volume:
                # What tasks read, too: docs/kubernetes.md#large-values.
                wanted = 0o444 if (name, volume["name"]) == ("agent", "blob-store") else 0o440
                assert volume["secret"]["defaultMode"] == wanted, name
        for mount in container["volumeMounts"]:
            if mount["mountPath"].startswith("/etc/"):
                assert mount["readOnly"] is True, name


@pytest.mark.parametrize("variant", ["prod", "blobs in a bucket"])
def test_tasks_can_read_none_of_the_agents_secrets(variant: str) -> None:
    agent = dict(workloads(variant))["agent"]
    pod, container = pod_of(agent), container_of(agent)
    user, group = map(int, environment(variant, agent)["QUORATE_TASK_USER"].split(":"))
    context = pod["securityContext"]
    # Root of a user namespace, who is nobody outside, and what docs/node-setup.md says it needs.
    assert pod["hostUsers"] is False
    assert (context["runAsUser"], context["runAsGroup"]) == (0, 0)
    assert set(container["securityContext"]["capabilities"]["add"]) == {
        f"{each}" for each in ("CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID")
    }
    assert user
    assert group
    # The kubelet would give each file of a volume to this group.
    assert "fsGroup" not in context
    secret = {v["name"]: v["secret"] for v in pod["volumes"] if "secret" in v}
    secret.pop("blob-store", None)
    assert set(secret) == {"tls", "etcd-client", "task-secrets"}
    for volume in secret.values():
        assert volume["defaultMode"] == 0o400
    # Else the agent would refuse to start: a task could replace its data directory.
    (modes,) = pod["initContainers"]
    assert modes["command"] == ["sh", "-ec", "chmod 0755 /var/lib/quorate; chmod 1777 /tmp"]
    assert modes["image"] == container["image"]
    mounts = {each["name"]: each["mountPath"] for each in modes["volumeMounts"]}
    assert mounts == {"data": "/var/lib/quorate", "tmp": "/tmp"}
    assert modes["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@every_variant
def test_nobody_gets_a_token_of_the_kubernetes_api(variant: str) -> None:
    for name, pod, _ in _pods(variant):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] == name
        account = named(variant, "ServiceAccount", name)
        assert account["automountServiceAccountToken"] is False
        # QUORATE_... of a Service would be taken for a setting.
        assert pod["enableServiceLinks"] is False, name
    kinds = {each["kind"] for each in objects(variant)}
    assert not kinds & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


@every_variant
def test_no_secret_is_in_the_manifests(variant: str) -> None:
    assert not list(of_kind(variant, "Secret"))
    for each in of_kind(variant, "ConfigMap"):
        for key, value in each["data"].items():
            assert "PASSWORD" not in key or key.endswith("_FILE"), key
            assert "PRIVATE KEY" not in value, key


@every_variant
def test_images_are_of_one_version(variant: str) -> None:
    for name, _, container in _pods(variant):
        image, colon, tag = container["image"].rpartition(":")
        assert image, name
        assert colon, name
        assert tag not in ("", "latest"), name
        assert any(c.isdigit() for c in tag), name
        assert container["imagePullPolicy"] == "IfNotPresent"


@every_variant
def test_resources_are_bounded(variant: str) -> None:
    for name, pod, container in _pods(variant):
        resources = container["resources"]
        for kind in ("cpu", "memory", "ephemeral-storage"):
            asked, most = (quantity(resources[each][kind]) for each in ("requests", "limits"))
            assert 0 < asked <= most, (name, kind)
        stored = 0.0
        for volume in pod.get("volumes", ()):
            if "emptyDir" in volume:
                stored += quantity(volume["emptyDir"]["sizeLimit"])
        # Else the kubelet would evict the pod before its volumes are full.
        assert stored <= quantity(resources["limits"]["ephemeral-storage"]), name


@every_variant
def test_probes_are_there_and_one_failure_does_not_restart(variant: str) -> None:
    for name, _, container in _pods(variant):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert probe in container, name
        assert container["livenessProbe"]["failureThreshold"] >= 3, name
        # Restarted is who hangs, not who waits for others.
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez", name
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name


@every_variant
def test_every_workload_has_a_budget(variant: str) -> None:
    for name, workload in workloads(variant):
        found = [each for each in of_kind(variant, "PodDisruptionBudget")
                 if selects(each["spec"]["selector"], labels_of(workload))]  # fmt: skip
        if workload["kind"] == "DaemonSet":
            # Drains leave its pods alone, and a budget cannot count a DaemonSet's.
            assert not found
            continue
        assert [each["metadata"]["name"] for each in found] == [name]
        assert found[0]["spec"]["maxUnavailable"] == 1
        # A member that catches up may be what the quorum needs; of others none is needed.
        policy = "IfHealthyBudget" if name == "etcd" else "AlwaysAllow"
        assert found[0]["spec"]["unhealthyPodEvictionPolicy"] == policy


@every_variant
def test_pods_are_spread_and_rank(variant: str) -> None:
    for name, workload in workloads(variant):
        pod = pod_of(workload)
        value = named(variant, "PriorityClass", pod["priorityClassName"])["value"]
        assert 0 < value < 1_000_000_000, name
        if workload["kind"] == "DaemonSet":
            continue
        keys = {each["topologyKey"] for each in pod["topologySpreadConstraints"]}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, name
        for each in pod["topologySpreadConstraints"]:
            assert selects(each["labelSelector"], labels_of(workload)), name
    ranks = {each["metadata"]["name"]: each["value"] for each in of_kind(variant, "PriorityClass")}
    assert ranks["quorate-control"] > ranks["quorate-gateway"] > ranks["quorate-work"]


@pytest.mark.parametrize("variant", ["prod", "dev"])
def test_no_two_members_of_etcd_share_a_machine_or_a_disk(variant: str) -> None:
    etcd = named(variant, "StatefulSet", "etcd")
    (rule,) = pod_of(etcd)["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert selects(rule["labelSelector"], labels_of(etcd))
    assert etcd["spec"]["volumeClaimTemplates"]
    assert etcd["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    members = environment(variant, etcd)["ETCD_INITIAL_CLUSTER"].split(",")
    assert len(members) == etcd["spec"]["replicas"]


def test_production_has_three_of_what_must_not_fail() -> None:
    assert named("prod", "StatefulSet", "etcd")["spec"]["replicas"] == 3
    assert named("prod", "Deployment", "scheduler")["spec"]["replicas"] == 3
    (hpa,) = of_kind("prod", "HorizontalPodAutoscaler")
    assert hpa["spec"]["minReplicas"] >= 2


def test_insecure_is_said_in_dev_and_nowhere_else() -> None:
    for variant in VARIANTS:
        for name, workload in workloads(variant):
            said = [key for key in environment(variant, workload) if key.endswith("_INSECURE")]
            assert bool(said) == (variant.startswith("dev") and name in PROGRAMS), (variant, name)


@every_variant
def test_everything_is_denied_but_what_is_listed(variant: str) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in of_kind(variant, "NetworkPolicy")
    }
    denied = policies.pop("default-deny")
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, workload in workloads(variant):
        own = policies[name]
        assert selects(own["podSelector"], labels_of(workload))
        assert set(own["policyTypes"]) == {"Ingress", "Egress"}
    for name, spec in policies.items():
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            # An empty rule, or one without peers, is everybody.
            assert rule.get("from") or rule.get("to"), name
            assert rule.get("ports") or name == "agent-egress", name
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                assert peer not in ({}, {"podSelector": {}}, {"namespaceSelector": {}}), name


def _reaches(variant: str, source: str, target: str, port: int) -> bool:
    """Whether the policies let pods of one component call a port of another's."""
    pods = dict(workloads(variant))
    labels, container = labels_of(pods[target]), container_of(pods[target])
    names = {each["name"]: each["containerPort"] for each in container["ports"]}

    def opens(rule: dict[str, Any], side: str, other: dict[str, str]) -> bool:
        peers = any("podSelector" in peer and selects(peer["podSelector"], other)
                    for peer in rule.get(side, ()) if "namespaceSelector" not in peer)  # fmt: skip
        ports = any(
            (low := names.get(each["port"], each["port"])) <= port <= each.get("endPort", low)
            for each in rule.get("ports", ())
            if isinstance(names.get(each["port"], each["port"]), int)
        )
        return peers and ports

    policies = [each["spec"] for each in of_kind(variant, "NetworkPolicy")]
    source_labels = labels_of(pods[source])
    leaves = any(opens(rule, "to", labels) for spec in policies
                 if selects(spec["podSelector"], source_labels)
                 for rule in spec.get("egress", ()))  # fmt: skip
    enters = any(opens(rule, "from", source_labels) for spec in policies
                 if selects(spec["podSelector"], labels)
                 for rule in spec.get("ingress", ()))  # fmt: skip
    assert leaves == enters, f"{source} -> {target}:{port}: one side of the policies is missing"
    return leaves


@pytest.mark.parametrize("variant", ["dev", "prod", "TLS, an agent a machine"])
def test_each_reaches_whom_it_needs_and_nobody_else(variant: str) -> None:
    needed = {
        ("scheduler", "etcd", 2379), ("agent", "etcd", 2379),
        ("etcd", "etcd", 2379), ("etcd", "etcd", 2380),
        # Standbys forward to the leader and watch it; the leader dials agents.
        ("scheduler", "scheduler", 7480), ("scheduler", "agent", 7481),
        ("gateway", "scheduler", 7480),
        # Tasks submit tasks.
        ("agent", "scheduler", 7480),
        # Instances of services.
        ("gateway", "agent", 32768), ("gateway", "agent", 60999),
    }  # fmt: skip
    components = ("etcd", "scheduler", "agent", "gateway")
    ports = {2379, 2380, 2381, 5671, 5672, 15671, 15672, 7470, 7480, 7481, 9464, 32768, 60999}
    open_ = {(source, target, port) for source in components for target in components
             for port in ports if _reaches(variant, source, target, port)}  # fmt: skip
    assert open_ == needed


@pytest.mark.parametrize(
    ("variant", "name", "port", "api"),
    [("dev", "amqp", 5672, 15672), ("prod", "amqps", 5671, 15671)],
)
def test_clients_reach_the_amqp_ports_that_the_gateway_serves(
    variant: str, name: str, port: int, api: int
) -> None:
    gateway = named(variant, "Deployment", "gateway")
    set_ = environment(variant, gateway)
    assert set_["QUORATE_GATEWAY_AMQP"] == f"0.0.0.0:{port}"
    assert set_["QUORATE_GATEWAY_AMQP_MANAGEMENT"] == f"0.0.0.0:{api}"
    service = named(variant, "Service", "gateway")["spec"]["ports"]
    for each, number in ((name, port), (MANAGEMENT, api)):
        assert {"name": each, "containerPort": number} in container_of(gateway)["ports"]
        assert {"name": each, "port": number, "targetPort": each} in service
    assert {each["name"] for each in service} == {"http", name, MANAGEMENT}
    rule, keda = named(variant, "NetworkPolicy", f"gateway-{name}")["spec"]["ingress"]
    assert rule["ports"] == [{"port": one, "protocol": "TCP"} for one in (port, api)]
    assert keda["ports"] == [{"port": api, "protocol": "TCP"}]
    keda_namespace = {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}
    assert keda["from"] == [{"namespaceSelector": keda_namespace}]
    clients = {"matchLabels": {"quorate/client": "true"}}
    assert rule["from"] == [{"namespaceSelector": {}, "podSelector": clients}]


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_tasks_do_not_reach_private_networks(variant: str) -> None:
    (rule,) = named(variant, "NetworkPolicy", "agent-egress")["spec"]["egress"]
    for peer in rule["to"]:
        # The metadata services of machines in clouds are link-local.
        assert {"169.254.0.0/16", "fe80::/10"} & set(peer["ipBlock"]["except"])
    assert COMPONENT in named(variant, "NetworkPolicy", "agent-egress")["spec"]["podSelector"][
        "matchLabels"
    ]  # fmt: skip
