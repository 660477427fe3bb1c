"""docs/kubernetes.md and its tutorial: commands name what exists, kustomizations render."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.config import GatewaySettings
from quorate.cli.app import application
from quorate.security.identity import Role, from_common_name
from quorate.security.settings import roles_of
from tests.support.manifests import (
    BY_HAND,
    K8S,
    ROOT,
    container_of,
    environment,
    objects,
    pod_of,
    workloads,
)
from tools.render_k8s import render

TUTORIAL = (ROOT / "docs" / "tutorials" / "kubernetes.md").read_text()
TEXT = (ROOT / "docs" / "kubernetes.md").read_text() + TUTORIAL
_BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line.strip()[2:])
    for language, body in _BLOCKS
    if language == "console"
    for line in body.splitlines()
]
_YAML = [yaml.safe_load(body) for language, body in _BLOCKS if language == "yaml"]
KUSTOMIZATIONS = [each for each in _YAML if each["kind"] == "Kustomization"]
# The reader makes it, of the first kustomization of the page.
_OWN = "k8s/overlays/mine"


def test_every_command_is_one_that_is_checked_here() -> None:
    assert {words[0] for words in COMMANDS} == {"kubectl", "quorate", "podman"}
    assert len(COMMANDS) >= 8


def test_folders_exist_and_objects_are_rendered() -> None:
    rendered = {
        (each["kind"].lower(), each["metadata"]["name"])
        for variant in ("dev", "prod")
        for each in objects(variant)
    }
    verbs = set()
    for words in (words for words in COMMANDS if words[0] == "kubectl"):
        if "-n" in words:
            assert words[words.index("-n") + 1] == "quorate"
            words = [w for i, w in enumerate(words) if w != "-n" and words[i - 1] != "-n"]
        verbs.add(words[1])
        if "-k" in words and words[-1] != _OWN:
            assert (ROOT / words[-1] / "kustomization.yaml").is_file()
        for word in words:
            kind, slash, name = word.partition("/")
            if slash and kind in ("deployment", "service"):
                assert (kind, name) in rendered, word
    assert verbs == {"apply", "rollout", "port-forward", "create", "get", "label"}


def test_secrets_are_those_that_are_mounted() -> None:
    made = {words[words.index("generic") + 1]: words for words in COMMANDS if "secret" in words}
    assert set(made) == BY_HAND
    (_, _, source) = made["quorate-tokens"][-1].removeprefix("--from-file=").partition("=")
    (created,) = (words for words in COMMANDS if "tokens" in words[:2])
    assert created[created.index("--file") + 1] == source
    files = {word.partition("=")[2] for word in made["blob-store"] if word.startswith("--from")}
    variables = environment("blobs in a bucket", dict(workloads("blobs in a bucket"))["agent"])
    named = {value for key, value in variables.items() if key.startswith("AWS_")}
    assert named == {f"/etc/quorate/blob-store/{file}" for file in files}


def test_tokens_are_made_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (words,) = (words for words in COMMANDS if words[:2] == ["quorate", "tokens"])
    done = CliRunner().invoke(application(), words[1:])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "tokens").read_text().count("\n") == 1


@pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)
def test_kustomizations_render(kustomization: dict[str, list[str]], tmp_path: Path) -> None:
    here = Path(os.path.realpath(tmp_path))
    up = os.path.relpath(K8S, here)
    text = yaml.safe_dump(kustomization).replace("../../", f"{up}/")
    (here / "kustomization.yaml").write_text(text)
    rendered = list(yaml.safe_load_all(render(here)))
    maps = [each["data"] for each in rendered if each["kind"] == "ConfigMap"]
    for generator in kustomization.get("configMapGenerator", ()):
        for literal in generator["literals"]:  # type: ignore[index]
            key, _, value = literal.partition("=")
            assert any(data.get(key) == value for data in maps)
    assert [each for each in rendered if each["kind"] == "Deployment"]


def test_the_own_overlay_names_images_and_the_host(tmp_path: Path) -> None:
    assert f"`{_OWN}/kustomization.yaml`" in TEXT
    up = os.path.relpath(K8S, os.path.realpath(tmp_path))
    text = yaml.safe_dump(KUSTOMIZATIONS[0]).replace("../../", f"{up}/")
    (tmp_path / "kustomization.yaml").write_text(text)
    rendered = list(yaml.safe_load_all(render(Path(os.path.realpath(tmp_path)))))
    (route,) = (each for each in rendered if each["kind"] == "HTTPRoute")
    (host,) = route["spec"]["hostnames"]
    assert host != "quorate.example.com"
    assert route["spec"]["parentRefs"] == [{"name": "my-gateway", "namespace": "my-namespace"}]
    images = {
        container["image"].rpartition(":")[0]
        for each in rendered
        if each["kind"] in ("Deployment", "StatefulSet")
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"registry.example.com/quorate", "registry.example.com/etcd"}


def test_the_certificate_of_a_program_is_of_an_issuer_and_a_role_that_exist() -> None:
    (certificate,) = (each for each in _YAML if each["kind"] == "Certificate")
    issuers = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in objects("prod")
        if each["kind"] == "Issuer"
    }
    issuer = certificate["spec"]["issuerRef"]
    assert (certificate["metadata"]["namespace"], issuer["name"]) in issuers
    caller = from_common_name(certificate["spec"]["commonName"])
    assert caller is not None
    assert caller.role is Role.SUBMITTER


def test_ports_of_the_text_are_those_of_the_pods() -> None:
    ports = dict(re.findall(r"^\| (scheduler|agent|gateway) \|.*\| (\d+) \(", TEXT, re.MULTILINE))
    pods = dict(workloads("prod"))
    assert set(ports) == {"scheduler", "agent", "gateway"}
    for name, port in ports.items():
        served = [each["containerPort"] for each in container_of(pods[name])["ports"]]
        assert int(port) in served


def test_every_folder_is_in_the_table() -> None:
    folders = {
        str(path.parent.relative_to(ROOT))
        for path in K8S.rglob("kustomization.yaml")
        # Half of the component beside it.
        if path.parent.name != "copy"
    } | {"k8s/observability", "k8s/chart"}
    assert set(re.findall(r"^\| `(k8s/[\w/-]+)` \|", TEXT, re.MULTILINE)) == folders


def test_figures_of_the_text_are_those_of_the_manifests() -> None:
    for _, workload in workloads("dev"):
        assert pod_of(workload)["securityContext"]["runAsUser"] == 65532
    assert "user 65532" in TEXT
    version = re.findall(r'^version = "([\d.]+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(re.findall(r"quorate:(\d+\.\d+\.\d+)", TEXT)) == set(version)


def test_sign_in_has_its_secret_and_settings_that_are_taken(tmp_path: Path) -> None:
    (words,) = (words for words in COMMANDS if "oidc-client" in words)
    (source,) = (word for word in words if word.startswith("--from-file="))
    file = source.partition("=")[2]
    gateway = dict(workloads("sign-in"))["gateway"]
    path = environment("sign-in", gateway)["QUORATE_GATEWAY_OIDC_CLIENT_SECRET_FILE"]
    (mount,) = (m for m in container_of(gateway)["volumeMounts"] if m["name"] == "oidc-client")
    assert path == f"{mount['mountPath']}/{file}"
    (tmp_path / file).write_text("a secret of many characters")
    (own,) = (
        each for each in KUSTOMIZATIONS if "../../components/oidc" in each.get("components", ())
    )
    literals = {each["name"]: each["literals"] for each in own["configMapGenerator"]}
    values = dict(literal.split("=", 1) for literal in literals["gateway"])
    settings = GatewaySettings.model_validate(
        {key.removeprefix("QUORATE_GATEWAY_").lower(): value for key, value in values.items()}
        | {"oidc_client_secret_file": str(tmp_path / file)}
    )
    roles = dict(literal.split("=", 1) for literal in literals["scheduler"])
    assert roles["QUORATE_AUTH_JWT_ISSUER"] == settings.oidc_issuer
    assert roles["QUORATE_AUTH_JWT_AUDIENCE"] == settings.oidc_client_id
    assert roles_of(roles["QUORATE_AUTH_JWT_ROLES"])
