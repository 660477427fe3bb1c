"""The manifests under k8s/, rendered, and what tests ask of them.

Rendering takes a moment and is the same for every test of a worker, so it is done once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tools.render_k8s import render

ROOT: Final = Path(__file__).resolve().parents[2]
K8S: Final = ROOT / "k8s"

Object = dict[str, Any]

# By name: what is rendered, and by components the variants that docs/kubernetes.md describes.
VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "dev": ("overlays/dev",),
    "prod": ("overlays/prod",),
    "dev, an agent a machine": ("overlays/dev", "components/agent-daemonset"),
    "TLS, an agent a machine": ("base", "components/tls", "components/agent-daemonset"),
    "external etcd": ("base", "components/external-etcd", "components/tls"),
    "blobs in a bucket": ("overlays/prod", "components/blob-bucket"),
    "an Ingress": ("overlays/prod", "components/ingress-nginx"),
    "sign-in": ("overlays/prod", "components/oidc"),
    "Prometheus operator": ("overlays/prod", "components/prometheus-operator"),
    "blobs in a folder": (
        "base",
        "components/tls",
        "components/blob-folder",
        "components/agent-daemonset",
    ),
}
# Kinds that cert-manager, KEDA, the Gateway API and the Prometheus operator define: Kubernetes has
# no schema of them.
CUSTOM: Final = frozenset(
    {
        ("cert-manager.io/v1", "Issuer"),
        ("cert-manager.io/v1", "Certificate"),
        ("keda.sh/v1alpha1", "TriggerAuthentication"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
        ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"),
        ("monitoring.coreos.com/v1", "PodMonitor"),
        ("monitoring.coreos.com/v1", "PrometheusRule"),
    }
)
# Secrets that are made by hand, as docs/kubernetes.md says.
BY_HAND: Final = frozenset({"quorate-tokens", "blob-store", "oidc-client"})
# Variables by which clients of S3 find files of the second one.
CREDENTIALS: Final = frozenset({"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"})
WORKLOADS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
PROGRAMS: Final = ("scheduler", "agent", "gateway")


@cache
def objects(variant: str) -> tuple[Object, ...]:
    """What a variant renders to."""
    resource, *components = VARIANTS[variant]
    if not components:
        return tuple(_read(render(K8S / resource)))
    with tempfile.TemporaryDirectory() as folder:
        # Both real: kustomize follows links before it looks at "..".
        here = Path(os.path.realpath(folder))
        kustomization = {
            "resources": [os.path.relpath(K8S / resource, here)],
            "components": [os.path.relpath(K8S / component, here) for component in components],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return tuple(_read(render(here)))


def _read(text: str) -> Iterator[Object]:
    # The same safe loader, its parser in C: a tenth of the time.
    found: Iterator[Object] = yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def of_kind(variant: str, *kinds: str) -> Iterator[Object]:
    """The objects of some kinds."""
    return (each for each in objects(variant) if each["kind"] in kinds)


def named(variant: str, kind: str, name: str) -> Object:
    """One object; a ConfigMap by its name without the hash."""
    (found,) = (
        each
        for each in of_kind(variant, kind)
        if name == each["metadata"]["name"]
        or (kind == "ConfigMap" and each["metadata"]["name"].startswith(f"{name}-"))
    )
    return found


def workloads(variant: str) -> list[tuple[str, Object]]:
    """Name and object of everything that has pods."""
    return [(each["metadata"]["name"], each) for each in of_kind(variant, *WORKLOADS)]


def pod_of(workload: Object) -> Object:
    """The pod's spec."""
    return dict(workload["spec"]["template"]["spec"])


def container_of(workload: Object) -> Object:
    """Its one container."""
    (container,) = pod_of(workload)["containers"]
    return dict(container)


def labels_of(workload: Object) -> dict[str, str]:
    """Its pods' labels."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions with In) takes these labels."""
    return all(
        labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
    ) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


def environment(variant: str, workload: Object) -> dict[str, str]:
    """The container's variables as the kubelet would set them, for a pod at 10.1.2.3.

    ConfigMaps first, then `env`, in which `$(NAME)` stands for what `env` said before.
    """
    container = container_of(workload)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= named(variant, "ConfigMap", source["configMapRef"]["name"])["data"]
    said: dict[str, str] = {}
    for each in container.get("env", ()):
        value = str(each["value"]) if "value" in each else _from(each["valueFrom"], container)
        for name, text in said.items():
            value = value.replace(f"$({name})", text)
        said[each["name"]] = value
    return found | said


def _from(source: Mapping[str, Any], container: Object) -> str:
    if "fieldRef" in source:
        return {
            "status.podIP": "10.1.2.3",
            "metadata.name": f"{container['name']}-6bd5f7c9f4-x2x7k",
            "metadata.namespace": "quorate",
        }[source["fieldRef"]["fieldPath"]]
    asked = source["resourceFieldRef"]
    assert asked["containerName"] == container["name"]
    assert asked["divisor"] == "1"
    bounds, _, resource = asked["resource"].partition(".")
    # Rounded up, as the kubelet does.
    return str(-int(-quantity(container["resources"][bounds][resource]) // 1))


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number."""
    for unit, factor in (("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("m", 0.001)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)
