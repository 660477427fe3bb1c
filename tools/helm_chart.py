"""Makes the Helm chart in k8s/chart from the manifests that kustomize renders.

    python -m tools.helm_chart            write templates/ and values.yaml
    python -m tools.helm_chart --check    exit code 1 when they are not as they should be

The overlay `prod`, with the components for an Ingress and for the Prometheus operator, is rendered.
What differs from cluster to cluster becomes a value: the namespace, images, the host, settings,
resources, storage, and which parts there are. So there is one source, and a test compares what helm
renders with what kustomize renders. See docs/adr/0021-helm-chart.md.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from os import path as paths
from pathlib import Path
from typing import Any, Final

import yaml

from tools.render_k8s import render

_K8S = Path(__file__).resolve().parents[1] / "k8s"
CHART: Final = _K8S / "chart"
_MADE: Final = (
    "# Made by `python -m tools.helm_chart` from the manifests under k8s/: change those.\n"
)
_COMPONENTS: Final = ("ingress-nginx", "prometheus-operator", "oidc")
_CONFIGS: Final = ("cluster", "scheduler", "agent", "gateway", "etcd")
_PARTS: Final = ("etcd", "scheduler", "agent", "gateway")

Object = dict[str, Any]

# Which value turns an object on, by what is known of it; None: it is always there.
_SWITCHES: Final[tuple[tuple[str, Callable[[str, str], bool]], ...]] = (
    ("gatewayApi.enabled", lambda kind, _: kind in ("HTTPRoute", "BackendTLSPolicy")),
    ("ingress.enabled", lambda kind, _: kind == "Ingress"),
    ("prometheusOperator.enabled", lambda kind, _: kind in ("PodMonitor", "PrometheusRule")),
    ("backup.enabled", lambda _, name: name in ("backup", "backups")),
    (
        "autoscaling.enabled",
        lambda kind, name: (
            kind in ("ScaledObject", "TriggerAuthentication", "HorizontalPodAutoscaler")
            or name == "keda"
        ),
    ),
    # By itself it would close every other way out.
    (
        "networkPolicies.enabled .Values.signIn.enabled",
        lambda kind, name: (kind, name) == ("NetworkPolicy", "oidc-provider"),
    ),
    ("networkPolicies.enabled", lambda kind, _: kind == "NetworkPolicy"),
)


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    wanted = files()
    folder = CHART / "templates"
    there = {
        p: p.read_text() for p in (*folder.glob("*.yaml"), CHART / "values.yaml") if p.exists()
    }
    if arguments == ["--check"]:
        if there == wanted:
            return 0
        print("k8s/chart is stale: run 'python -m tools.helm_chart'", file=sys.stderr)
        return 1
    for stale in there.keys() - wanted.keys():
        stale.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        path.write_text(text)
    return 0


def files() -> dict[Path, str]:
    """Each file of the chart that is made, and what it holds."""
    objects = [each for each in _rendered() if each["kind"] != "Namespace"]
    configs = {_plain(each): each for each in objects if each["kind"] == "ConfigMap"}
    wanted: dict[Path, str] = {}
    for each in objects:
        if each["kind"] != "ConfigMap":
            name = each["metadata"]["name"]
            file = f"{each['kind'].lower()}-{name}.yaml"
            wanted[CHART / "templates" / file] = _MADE + _template(each, set(configs))
    texts = [_config(name, configs[name]) for name in _CONFIGS]
    wanted[CHART / "templates" / "config.yaml"] = _MADE + "---\n".join(texts)
    wanted[CHART / "values.yaml"] = _values(objects)
    return wanted


def _rendered() -> Iterator[Object]:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(paths.realpath(folder))
        kustomization = {
            "resources": [paths.relpath(_K8S / "overlays/prod", here)],
            "components": [paths.relpath(_K8S / "components" / c, here) for c in _COMPONENTS],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        found: Iterator[Object] = yaml.safe_load_all(render(here))
        yield from found


def _plain(config: Object) -> str:
    """The name without the hash of the content: a checksum in the pods rolls them instead."""
    return str(config["metadata"]["name"]).rpartition("-")[0]


# -- from an object to a template ------------------------------------------------------------------

# Marks stand for expressions while an object is data; each becomes `{{ ... }}` in the text.
_MARKS: Final = {
    "NAMESPACE": ".Release.Namespace",
    "IMAGE": '(printf "%s:%s" .Values.image.repository .Values.image.tag)',
    "ETCD_IMAGE": '(printf "%s:%s" .Values.etcd.image.repository .Values.etcd.image.tag)',
    "HOST": ".Values.host",
    "DOCS": ".Values.docsUrl",
    "STORAGE": ".Values.etcd.storage",
    "BACKUP_STORAGE": ".Values.backup.storage",
    "BACKUP_SCHEDULE": ".Values.backup.schedule",
    "CHECKSUM": '(include (print $.Template.BasePath "/config.yaml") . | sha256sum)',
}
_MARK: Final = re.compile(r"@@([A-Z_]+)@@")
# A whole value that is YAML: its key, and where it is in the values.
_BLOCK: Final = re.compile(r"^( *)(- )?([\w./-]+): '?@@YAML:([\w.]+)@@'?$", re.MULTILINE)
_NAMESPACE: Final = re.compile(r"(?<=\.)quorate(?=[.,:]|$)|^quorate(?=/gateway-tls$)")
_PRIORITY: Final = re.compile(r"^quorate-(?=(control|gateway|work)$)")


def _text(value: str) -> str:
    if "\n" in value:
        return value
    value = _NAMESPACE.sub("@@NAMESPACE@@", _PRIORITY.sub("@@NAMESPACE@@-", value))
    value = value.replace("https://docs.example.com/quorate", "@@DOCS@@")
    value = value.replace("quorate.example.com", "@@HOST@@")
    if re.fullmatch(r"quorate:[\d.]+", value):
        return "@@IMAGE@@"
    return "@@ETCD_IMAGE@@" if re.fullmatch(r"etcd:v[\d.]+", value) else value


def _marked(value: Any, configs: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _marked(each, configs) for key, each in value.items()}
    if isinstance(value, list):
        return [_marked(each, configs) for each in value]
    if isinstance(value, str):
        start, _, end = value.rpartition("-")
        return start if start in configs and len(end) == 10 else _text(value)
    return value


def _template(original: Object, configs: set[str]) -> str:
    each = _marked(copy.deepcopy(original), configs)
    kind, name = original["kind"], original["metadata"]["name"]
    if "namespace" in each["metadata"]:
        each["metadata"]["namespace"] = "@@NAMESPACE@@"
    if kind in ("Deployment", "StatefulSet"):
        _workload(each, name)
    if kind == "Job":
        # Jobs cannot be changed: helm makes it anew.
        each["metadata"]["annotations"] = {
            "helm.sh/hook": "post-install,post-upgrade",
            "helm.sh/hook-delete-policy": "before-hook-creation",
        }
    if kind == "HTTPRoute":
        each["spec"]["parentRefs"] = "@@YAML:gatewayApi.parentRefs@@"
    if kind == "CronJob":
        each["spec"]["schedule"] = "@@BACKUP_SCHEDULE@@"
    if kind == "PersistentVolumeClaim":
        each["spec"]["resources"]["requests"]["storage"] = "@@BACKUP_STORAGE@@"
    text = _dumped(each)
    if kind == "Deployment" and name in ("agent", "gateway"):
        count = f"  replicas: {{{{ .Values.{name}.replicas }}}}\n"
        unless = "  {{- if not .Values.autoscaling.enabled }}\n"
        text = text.replace("\nspec:\n", f"\nspec:\n{unless}{count}  {{{{- end }}}}\n", 1)
    switch = next((value for value, test in _SWITCHES if test(kind, name)), None)
    if not switch:
        return text
    both = "and " if " " in switch else ""
    return f"{{{{- if {both}.Values.{switch} }}}}\n{text}{{{{- end }}}}\n"


def _workload(each: Object, name: str) -> None:
    template = each["spec"]["template"]
    template["metadata"]["annotations"]["checksum/config"] = "@@CHECKSUM@@"
    (container,) = template["spec"]["containers"]
    container["resources"] = f"@@YAML:{name}.resources@@"
    if name == "scheduler":
        each["spec"]["replicas"] = "@@YAML:scheduler.replicas@@"
    for claim in each["spec"].get("volumeClaimTemplates", ()):
        claim["spec"]["resources"]["requests"]["storage"] = "@@STORAGE@@"


def _dumped(each: Object) -> str:
    text = yaml.safe_dump(each, sort_keys=False, width=1_000_000)
    # What is braces already is for Prometheus.
    text = text.replace("{{", '{{ "{{" }}')
    text = _BLOCK.sub(_block, text)
    return _MARK.sub(lambda found: f"{{{{ {_MARKS[found[1]]} }}}}", text)


def _block(found: re.Match[str]) -> str:
    indent = len(found[1]) + len(found[2] or "") + 2
    start = f"{found[1]}{found[2] or ''}{found[3]}:"
    if found[4].endswith("replicas"):
        return f"{start} {{{{ .Values.{found[4]} }}}}"
    return f"{start} {{{{- toYaml .Values.{found[4]} | nindent {indent} }}}}"


def _config(name: str, config: Object) -> str:
    labels = {key: config["metadata"][key] for key in ("labels",) if key in config["metadata"]}
    head = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "@@NAMESPACE@@", **labels},
    }
    data = _dumped(_marked(config["data"], set()))
    # A setting of the values wins over that of the manifests.
    return (
        f'{{{{- define "quorate.config.{name}" }}}}\n{data}{{{{- end }}}}\n{_dumped(head)}'
        f'data: {{{{- mergeOverwrite (include "quorate.config.{name}" . | fromYaml) '
        f"(.Values.config.{name} | default dict) | toYaml | nindent 2 }}}}\n"
    )


# -- values ----------------------------------------------------------------------------------------


def _values(objects: list[Object]) -> str:
    def named(kind: str, name: str) -> Object:
        (found,) = (o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))
        return found

    resources = {}
    for name in _PARTS:
        kind = "StatefulSet" if name == "etcd" else "Deployment"
        (container,) = named(kind, name)["spec"]["template"]["spec"]["containers"]
        resources[name] = yaml.safe_dump(container["resources"], sort_keys=True)
    etcd = named("StatefulSet", "etcd")["spec"]
    (claim,) = etcd["volumeClaimTemplates"]
    (image,) = etcd["template"]["spec"]["containers"]
    cron = named("CronJob", "backup")["spec"]
    pods = named("Deployment", "scheduler")["spec"]
    (scheduler,) = pods["template"]["spec"]["containers"]
    return _MADE + _VALUES.format(
        tag=scheduler["image"].partition(":")[2],
        etcd_tag=image["image"].partition(":")[2],
        storage=claim["spec"]["resources"]["requests"]["storage"],
        schedule=cron["schedule"],
        backups=named("PersistentVolumeClaim", "backups")["spec"]["resources"]["requests"][
            "storage"
        ],
        replicas=pods["replicas"],
        parents=_indented(yaml.safe_dump(named("HTTPRoute", "gateway")["spec"]["parentRefs"]), 4),
        **{name: _indented(text, 4) for name, text in resources.items()},
    )


def _indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines()).rstrip("\n")


_VALUES: Final = """\
# Needs cert-manager in the cluster; autoscaling needs KEDA and metrics-server. Made by hand: the
# Secret `quorate-tokens` and, for gatewayApi, the ConfigMap `gateway-ca` (docs/kubernetes.md).

# Host name of the gateway. Add it to config.gateway.QUORATE_GATEWAY_HOSTS too if you set that.
host: quorate.example.com

image:
  repository: quorate
  tag: {tag}

# Settings (environment variables) that differ from those of the manifests, such as
#   scheduler: {{QUORATE_LEASE_TTL: "10"}}
# All values are texts: quote numbers.
config:
  cluster: {{}}
  scheduler: {{}}
  agent: {{}}
  gateway: {{}}
  etcd: {{}}

etcd:
  image:
    repository: etcd
    tag: {etcd_tag}
  storage: {storage}
  resources:
{etcd}

scheduler:
  replicas: {replicas}
  resources:
{scheduler}

agent:
  # Without autoscaling.
  replicas: 3
  resources:
{agent}

gateway:
  # Without autoscaling.
  replicas: 2
  resources:
{gateway}

autoscaling:
  enabled: true

networkPolicies:
  enabled: true

# Label the namespace of your Gateway's pods, or of the Ingress controller: quorate/ingress=true
gatewayApi:
  enabled: true
  parentRefs:
{parents}

ingress:
  enabled: false

backup:
  enabled: true
  schedule: {schedule}
  storage: {backups}

prometheusOperator:
  enabled: false

# Lets gateways and schedulers reach an OpenID Connect provider outside. The provider is a setting:
# docs/kubernetes.md#sign-in
signIn:
  enabled: false

# Where you serve the documentation (`make docs`), without a slash at the end: the alerts'
# runbook_url begins with it.
docsUrl: https://docs.example.com/quorate
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
