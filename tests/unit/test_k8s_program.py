"""What the manifests say to the programs is what these know: no flag, port or path is made up.

Each container's environment is put together as the kubelet does it and given to the program's own
settings; secrets are files of a real CA and a real file of tokens in another folder.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib.util
import os
import re
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

import node_agent.app
import node_agent.session.servicer
import scheduler.app
import scheduler.telemetry.health
from gateway.config import GatewaySettings
from node_agent.config import AgentSettings
from quorate.etcd.server.binary import find_etcd
from quorate.security.credentials.tokens import create as create_token
from quorate.security.guard import Guard
from quorate.security.identity import Role
from quorate.security.tls.certs import Authority
from quorate.telemetry.server import HealthServer
from scheduler.autoscaling.ask import parse
from scheduler.config import SchedulerSettings
from tests.support.manifests import (
    CREDENTIALS,
    PROGRAMS,
    ROOT,
    VARIANTS,
    Object,
    container_of,
    environment,
    named,
    of_kind,
    pod_of,
    quantity,
    workloads,
)

SETTINGS: dict[str, Any] = {
    "scheduler": SchedulerSettings,
    "agent": AgentSettings,
    "gateway": GatewaySettings,
}
MODULES = {"scheduler": "scheduler", "agent": "node_agent", "gateway": "gateway"}
PREFIXES = {
    "scheduler": "QUORATE_",
    "agent": "QUORATE_",
    "gateway": "QUORATE_GATEWAY_",
}
# Variables of the pod that are there for other variables to use.
OURS = {"POD_IP", "POD_NAMESPACE", "POD_NAME"}
every_variant = pytest.mark.parametrize("variant", VARIANTS)
NOW = dt.datetime.now(dt.UTC)


def workload_of(variant: str, name: str) -> Object:
    return dict(workloads(variant))[name]


def advertised(workload: Object, variables: dict[str, str]) -> dict[str, str]:
    """What the container's command makes of its environment before it becomes the program."""
    command = container_of(workload)["command"]
    if command[0] != "sh":
        return variables
    shell = ["sh", "-ec", command[2].replace("exec python", "exec env #")]
    said = subprocess.run(
        shell, env={"PATH": os.defpath, **variables}, capture_output=True, text=True, check=True
    ).stdout
    return variables | dict(line.split("=", 1) for line in said.splitlines()
                            if line.startswith("QUORATE_ADVERTISE="))  # fmt: skip


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What is below /etc/quorate in a pod."""
    authority = Authority.create("test", now=NOW, days=2)
    for folder in ("tls", "etcd", "tokens"):
        (tmp_path / folder).mkdir()
    for folder in ("tls", "etcd"):
        leaf = authority.issue("scheduler:pods", hosts=["scheduler"], now=NOW, days=1)
        leaf.write(tmp_path / folder / "tls.crt", tmp_path / folder / "tls.key")
        (tmp_path / folder / "ca.crt").write_bytes(authority.issued.cert)
    create_token(
        tmp_path / "tokens" / "tokens", name="ci", role=Role.SUBMITTER, now=NOW, lasts=None
    )
    return tmp_path


def settings_of(
    variant: str, name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> SchedulerSettings | AgentSettings | GatewaySettings:
    workload = workload_of(variant, name)
    for key in [key for key in os.environ if key.startswith("QUORATE_")]:
        monkeypatch.delenv(key)
    variables = advertised(workload, environment(variant, workload))
    for key, value in variables.items():
        monkeypatch.setenv(key, value.replace("/etc/quorate", str(secrets)))
    settings = SETTINGS[name]()
    assert isinstance(settings, SchedulerSettings | AgentSettings | GatewaySettings)
    return settings


@every_variant
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_variable_is_a_setting_of_the_program(variant: str, name: str) -> None:
    fields = SETTINGS[name].model_fields
    prefix = PREFIXES[name]
    for key in environment(variant, workload_of(variant, name)):
        if key not in OURS | CREDENTIALS:
            assert key.startswith(prefix), key
            assert key.removeprefix(prefix).lower() in fields, key


@every_variant
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_accepts_what_the_pod_says(
    variant: str, name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(variant, name, secrets, monkeypatch)
    container = container_of(workload_of(variant, name))
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert settings.health_listen == f"0.0.0.0:{ports['metrics']}"
    serving = ports["http" if name == "gateway" else "grpc"]
    assert settings.listen == f"0.0.0.0:{serving}"
    assert settings.tls == (not variant.startswith("dev"))
    if not isinstance(settings, GatewaySettings):
        assert settings.advertise.endswith(f":{serving}")


def test_the_base_alone_opens_no_door(monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    variables = dict(environment("dev", workload_of("dev", "scheduler")))
    del variables["QUORATE_INSECURE"]
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ValidationError, match="not loopback"):
        SETTINGS["scheduler"]()


def test_production_knows_its_callers(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("prod", "scheduler", secrets, monkeypatch)
    assert isinstance(settings, SchedulerSettings)
    assert settings.mutual_tls
    assert settings.auth_ways == {"mtls", "tokens"}
    assert Guard(settings, {}) is not None
    settings = settings_of("prod", "agent", secrets, monkeypatch)
    assert isinstance(settings, AgentSettings)
    assert settings.mutual_tls
    settings = settings_of("prod", "gateway", secrets, monkeypatch)
    assert isinstance(settings, GatewaySettings)
    assert settings.auth == "bearer"
    assert settings.scheduler_tls is not None


@every_variant
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_is_a_program_of_the_image(variant: str, name: str) -> None:
    container = container_of(workload_of(variant, name))
    words = container["command"]
    if words[0] == "sh":
        words = shlex.split(words[2].splitlines()[-1])[1:]
    assert words == ["python", "-m", MODULES[name]]
    assert importlib.util.find_spec(f"{MODULES[name]}.__main__") is not None
    assert "args" not in container
    assert re.fullmatch(r"(.+/)?quorate:\d+\.\d+\.\d+", container["image"])


@every_variant
@pytest.mark.parametrize("name", PROGRAMS)
async def test_probes_and_scrapes_ask_for_what_is_served(variant: str, name: str) -> None:
    workload = workload_of(variant, name)
    container = container_of(workload)
    metrics = {each["name"]: each["containerPort"] for each in container["ports"]}["metrics"]
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    paths = {annotations["prometheus.io/path"]}
    assert annotations["prometheus.io/port"] == str(metrics)
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[kind]
        if "httpGet" in probe:
            assert probe["httpGet"]["port"] == "metrics"
            paths.add(probe["httpGet"]["path"])
        else:
            _check_grpc_probe(name, probe["grpc"], container, tls=not variant.startswith("dev"))

    async def ready() -> str:
        return ""

    server = HealthServer("127.0.0.1:0", "scheduler", ready=ready)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{server.address}") as client:
            answers = await asyncio.gather(*(client.get(path) for path in paths))
    finally:
        await server.close()
    assert [answer.status_code for answer in answers] == [200] * len(paths)


def _check_grpc_probe(name: str, probe: dict[str, Any], container: Object, *, tls: bool) -> None:
    # The kubelet's gRPC probes know no TLS.
    assert not tls
    assert probe["port"] in [each["containerPort"] for each in container["ports"]]
    services = {
        "scheduler": ("", scheduler.telemetry.health.SERVICE),
        "agent": ("", node_agent.session.servicer.SERVICE),
    }
    assert probe.get("service", "") in services[name]


@pytest.mark.parametrize("variant", ["dev", "prod", "TLS, an agent a machine"])
def test_grace_periods_are_longer_than_what_they_are_for(
    variant: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack = 5
    for name in PROGRAMS:
        workload = workload_of(variant, name)
        hook = container_of(workload).get("lifecycle", {}).get("preStop", {})
        waits = hook.get("sleep", {}).get("seconds", 0)
        # Whoever is behind a Service gets connections for a moment after it was told to go.
        assert (waits >= 3) == (name != "agent")
        settings = settings_of(variant, name, secrets, monkeypatch)
        takes = {
            "scheduler": lambda s: scheduler.app._STOP_GRACE,
            "agent": lambda s: s.drain_grace + s.kill_grace + node_agent.app._KILLED_SECONDS
            + node_agent.app.ACKNOWLEDGE_SECONDS,
            "gateway": lambda s: s.grace,
        }[name](settings)  # fmt: skip
        grace = pod_of(workload)["terminationGracePeriodSeconds"]
        assert grace >= waits + takes + slack, name
        # Not so much longer that a program that hangs keeps its machine from being drained.
        assert grace <= waits + takes + 30, name


def test_agents_offer_what_their_container_has(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in ("dev", "prod"):
        settings = settings_of(variant, "agent", secrets, monkeypatch)
        assert isinstance(settings, AgentSettings)
        resources = container_of(workload_of(variant, "agent"))["resources"]
        # What is between is the agent's own: tasks that use all they may do not throttle it.
        assert settings.slot_count == quantity(resources["limits"]["cpu"]) - 1
        assert settings.cpu == settings.slot_count
        assert int(settings.memory) == quantity(resources["requests"]["memory"])
        assert int(settings.memory) < quantity(resources["limits"]["memory"])
        (data,) = (
            v for v in pod_of(workload_of(variant, "agent"))["volumes"] if v["name"] == "data"
        )
        assert int(settings.log_total) < quantity(data["emptyDir"]["sizeLimit"])


def test_keda_asks_what_the_scheduler_understands(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scaled,) = of_kind("prod", "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    ask = parse(trigger["metadata"])
    agent = settings_of("prod", "agent", secrets, monkeypatch)
    assert isinstance(agent, AgentSettings)
    assert ask.shape.slots == agent.slot_count
    assert ask.shape.memory == int(agent.memory)
    assert ask.owns(agent.label_map)
    # What tasks choose nodes by is the same of an agent that is there and of a new one.
    assert dict(ask.shape.labels) == agent.label_map
    assert list(ask.shape.taints) == [(taint.key, taint.value) for taint in agent.taint_list]
    assert ask.max_nodes == scaled["spec"]["maxReplicaCount"]
    host, _, port = trigger["metadata"]["scalerAddress"].rpartition(":")
    assert host in _names("scheduler")
    ports = [each["port"] for each in named("prod", "Service", "scheduler")["spec"]["ports"]]
    assert int(port) in ports


def _names(certificate: str) -> list[str]:
    found = named("prod", "Certificate", certificate)["spec"].get("dnsNames", [])
    return list(found)


def _covered(host: str, certificate: str) -> bool:
    """As TLS matches: a wildcard is one label, the first."""
    return any(
        fnmatch(host, name) and host.count(".") == name.count(".") for name in _names(certificate)
    )


@pytest.mark.parametrize("name", ["scheduler", "agent"])
def test_pods_are_dialled_by_a_name_that_their_certificate_has(
    name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of("prod", name, secrets, monkeypatch)
    assert isinstance(settings, SchedulerSettings | AgentSettings)
    host = settings.advertise.rpartition(":")[0]
    assert host == "10-1-2-3.quorate.pod.cluster.local"
    assert _covered(host, name)
    # Else each dial asks the DNS for names that are not there first.
    for dials in ("scheduler", "gateway"):
        (option,) = pod_of(workload_of("prod", dials))["dnsConfig"]["options"]
        assert option["name"] == "ndots"
        assert int(option["value"]) <= host.count(".")


def test_servers_are_dialled_by_names_that_their_certificates_have(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = settings_of("prod", "gateway", secrets, monkeypatch)
    assert isinstance(gateway, GatewaySettings)
    for address in gateway.addresses:
        assert _covered(address.rpartition(":")[0], "scheduler")
        named("prod", "Service", address.rpartition(":")[0])
    settings = settings_of("prod", "scheduler", secrets, monkeypatch)
    assert isinstance(settings, SchedulerSettings)
    for endpoint in settings.endpoints:
        assert _covered(endpoint.rpartition(":")[0], "etcd")
    (policy,) = of_kind("prod", "BackendTLSPolicy")
    assert _covered(policy["spec"]["validation"]["hostname"], "gateway")
    (ingress,) = of_kind("an Ingress", "Ingress")
    assert _covered(
        ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-ssl-name"], "gateway"
    )


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_etcd_knows_its_flags_and_agrees_with_the_schedulers(variant: str) -> None:
    etcd = workload_of(variant, "etcd")
    container, variables = container_of(etcd), environment(variant, etcd)
    text = subprocess.run(
        [find_etcd().path, "--help"], capture_output=True, text=True, check=True, timeout=30
    )
    known = set(re.findall(r"--([a-z-]+)", text.stdout + text.stderr))
    flags = {word.removeprefix("--").partition("=")[0] for word in container["args"]}
    assert flags <= known
    by_variable = {
        key.removeprefix("ETCD_").lower().replace("_", "-")
        for key in variables
        if key.startswith("ETCD_")
    }
    # Each etcd has this flag; --help of 3.4 does not list it.
    assert by_variable <= known | {"enable-grpc-gateway"}
    # etcd ends when a thing is said by both.
    assert not by_variable & flags
    used = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
    assert used == {"POD_NAME", "SCHEME"} <= set(variables)

    cluster = environment(variant, workload_of(variant, "scheduler"))
    assert cluster["QUORATE_ETCD_MAX_TXN_OPS"] == variables["ETCD_MAX_TXN_OPS"]
    quota = int(variables["ETCD_QUOTA_BACKEND_BYTES"])
    assert int(cluster["QUORATE_ETCD_QUOTA_MIB"]) << 20 == quota
    scheme = "http" if variant == "dev" else "https"
    assert variables["SCHEME"] == scheme
    members = [f"etcd-{i}" for i in range(etcd["spec"]["replicas"])]
    peers = ",".join(f"{member}={scheme}://{member}.etcd:2380" for member in members)
    assert variables["ETCD_INITIAL_CLUSTER"] == peers
    assert cluster["QUORATE_ETCD"] == ",".join(f"{member}.etcd:2379" for member in members)
    assert etcd["spec"]["serviceName"] == "etcd"
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"client": 2379, "peer": 2380, "metrics": 2381}
    # /livez and /readyz: since 3.5.11; the production floor: README.
    version = tuple(map(int, container["image"].rpartition(":v")[2].split(".")))
    assert version >= (3, 6, 9) or (3, 5, 28) <= version < (3, 6)
    (claim,) = etcd["spec"]["volumeClaimTemplates"]
    assert quantity(claim["spec"]["resources"]["requests"]["storage"]) >= 1 << 30


def test_version_of_the_image_is_the_packages() -> None:
    (version,) = re.findall(r'^version = "([\d.]+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    for name in PROGRAMS:
        image = container_of(workload_of("prod", name))["image"]
        assert image.rpartition(":")[2] == version
