"""What `make setup` gets, by which way, and what it says where a tool is not to be had."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from quorate.runtime.process.debian_packages import PackagesUnavailable
from tests.support.needs import give_up, needed
from tools.provision import __main__ as provision
from tools.provision import chromium, needs, place, s3
from tools.provision.needs import Need
from tools.provision.place import Missing

CHECKOUT = Path(__file__).resolve().parents[2]
TOOL = Need("tool", ("tool",), ("tool-package",))


def program(path: Path, says: str = "Chromium 1 <html>", code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it; returns the one folder of its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(str(shutil.which("sh")))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CHROMIUM", "PLAYWRIGHT_BROWSERS_PATH", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(place, "TOOLS", tmp_path / ".tools")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(chromium, "has_apt", lambda: True)
    return folder


def fails(why: str) -> Callable[..., None]:
    def attempt(*given: object, **named: object) -> None:
        raise PackagesUnavailable(why)

    return attempt


# -- the browser


def test_the_named_browser_comes_first_then_path_then_playwrights_own(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (
        program(tmp_path / f".cache/ms-playwright/chromium-{number}/chrome-linux64/chrome")
        for number in (1000, 1001)
    )
    assert chromium.find() == str(newer)
    newer.unlink()
    assert chromium.find() == str(older)
    on_path = program(machine / "google-chrome", "Google Chrome 1")
    assert chromium.find() == str(on_path)
    named = program(tmp_path / "mine")
    monkeypatch.setenv("CHROMIUM", str(named))
    assert chromium.find() == str(named)


def test_a_browser_without_windows_comes_before_one_with_windows(
    machine: Path, tmp_path: Path
) -> None:
    program(machine / "chromium")
    folder = "chromium_headless_shell-1001/chrome-headless-shell-linux64"
    cached = program(tmp_path / f".cache/ms-playwright/{folder}/chrome-headless-shell")
    assert chromium.find() == str(cached)
    on_path = program(machine / "chromium-headless-shell")
    assert chromium.find() == str(on_path)


def test_ci_installs_one_without_windows_beside_another_where_it_can(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = program(machine / "chromium")
    asked: list[str] = []

    def install(packages: list[str], say: object) -> None:
        asked.extend(packages)
        if not works:
            raise PackagesUnavailable("no network")
        program(machine / packages[0])

    monkeypatch.setattr(chromium, "install", install)
    works = False
    assert chromium.provide(str) == str(other)
    assert not asked
    monkeypatch.setenv("CI", "true")
    assert chromium.provide(str) == str(other)
    works = True
    assert chromium.provide(str) == str(machine / "chromium-headless-shell")
    asked.clear()
    assert chromium.provide(str) == str(machine / "chromium-headless-shell")
    assert not asked


def test_a_program_that_only_says_where_to_get_a_browser_is_passed_over(machine: Path) -> None:
    program(machine / "chromium-browser", "requires the chromium snap", code=1)
    with pytest.raises(Missing, match="no Chromium was found"):
        chromium.find()
    good = program(machine / "google-chrome")
    assert chromium.find() == str(good)


@pytest.mark.parametrize("kind", ["absent", "not executable", "broken"])
def test_a_named_browser_that_does_not_run_is_not_replaced(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    program(machine / "chromium")
    named = tmp_path / "named"
    if kind != "absent":
        program(named, code=1).chmod(0o644 if kind == "not executable" else 0o755)
    monkeypatch.setenv("CHROMIUM", str(named))
    monkeypatch.setattr(chromium, "install", fails("must not be called"))
    for look in (chromium.find, lambda: chromium.provide(str)):
        with pytest.raises(Missing) as missing:
            look()
        assert str(missing.value).startswith(f"CHROMIUM={named} is not a program that runs: ")


def test_a_browser_is_installed_else_unpacked_else_downloaded(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def way(name: str, works: bool) -> Callable[..., object]:
        def attempt(*given: Any, **named: object) -> object:
            tried.append(name)
            if not works:
                raise PackagesUnavailable(f"no {name}")
            (package,) = given[0] if name != "download" else ("chromium",)
            if name == "unpack":
                program(tmp_path / "tree" / "usr/lib/chromium" / package)
                return tmp_path / "tree"
            return program(machine / package)

        return attempt

    monkeypatch.setattr(chromium, "_download", way("download", True))
    monkeypatch.setattr(chromium, "unpack", way("unpack", False))
    monkeypatch.setattr(chromium, "install", way("install", False))
    chromium.provide(str)
    # Of each package: the one without windows, and the one that every system has.
    assert tried == ["install", "install", "unpack", "unpack", "download"]

    (machine / "chromium").unlink()
    tried.clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(chromium, "unpack", way("unpack", True))
    (tmp_path / ".tools/chromium").mkdir(parents=True)
    assert chromium.provide(str) == str(tmp_path / ".tools/bin/chromium")
    assert tried == ["unpack"]
    # There is one now.
    chromium.provide(str)
    assert tried == ["unpack"]


def test_without_any_way_to_a_browser_one_sentence_says_why_and_what_to_do(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chromium, "install", fails("apt-get install: E: no network"))
    monkeypatch.setattr(chromium, "unpack", fails("apt-get download: E: no network"))
    monkeypatch.setattr(chromium, "_download", fails("playwright install: no network"))
    with pytest.raises(Missing) as missing:
        chromium.provide(str)
    assert str(missing.value) == (
        "no Chromium was found or fetched (apt-get install: E: no network; apt-get download: E: "
        "no network; playwright install: no network): `make setup` fetches one, or install it "
        "(Debian: `apt-get install chromium`), or set CHROMIUM to one"
    )


# -- other programs


def test_root_installs_and_others_unpack(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "install", lambda packages, say: program(machine / "tool"))
    needs.provide(TOOL, str)
    assert place.find("tool") == str(machine / "tool")

    (machine / "tool").unlink()
    program(tmp_path / "tree" / "usr/bin/tool", "tool 1")
    monkeypatch.setattr(needs, "unpack", lambda *given, **named: tmp_path / "tree")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    needs.provide(TOOL, str)
    assert place.find("tool") == str(tmp_path / ".tools/bin/tool")


def test_an_unpacked_program_that_does_not_run_is_not_there(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "tree" / "usr/bin/tool", code=127)
    monkeypatch.setattr(needs, "install", fails("apt-get install: E: read-only"))
    monkeypatch.setattr(needs, "unpack", lambda *given, **named: tmp_path / "tree")
    with pytest.raises(Missing) as missing:
        needs.provide(TOOL, str)
    assert str(missing.value) == (
        "tool: tool not found (apt-get install: E: read-only; the unpacked tool does not run); "
        "`make setup` unpacks it, or `apt-get install tool-package`"
    )
    assert place.find("tool") is None


def test_tool_chains_are_not_unpacked(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "unpack", fails("must not be called"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="`make clients` as root installs it, or `apt-get install"):
        needs.provide(needs.GO, str)


def test_programs_of_the_machine_come_before_those_of_the_checkout(
    machine: Path, tmp_path: Path
) -> None:
    own = program(tmp_path / ".tools/bin/tool")
    assert place.find("tool") == str(own)
    installed = program(machine / "tool")
    assert place.find("tool") == str(installed)


# -- setup as a whole


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("0", 0), ("false", 0), ("true", 1), ("1", 1)])
def test_what_is_missing_is_skipped_but_fails_in_ci(
    ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(say: object) -> None:
        raise Missing("jq: not found; do this")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setitem(provision.GROUPS, "tests", {"jq": missing, "curl": lambda say: None})
    assert provision.main(["tests"]) == code
    told = capsys.readouterr()
    assert told.out == "There: curl\n"
    assert told.err.startswith("Not there: jq: not found; do this\n")
    assert ("nothing may be skipped" in told.err) == bool(code)


@pytest.mark.parametrize("ci", [False, True])
def test_a_test_without_what_it_needs_is_skipped_but_fails_in_ci(
    ci: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true" if ci else "")
    expected = pytest.fail.Exception if ci else pytest.skip.Exception
    with pytest.raises(expected, match="get it so"):
        give_up("get it so")
    with pytest.raises(expected, match="get it so"), needed():
        raise Missing("get it so")


@pytest.mark.parametrize("ci", [False, True])
def test_without_a_browser_its_tests_end_with_one_sentence_each(ci: bool) -> None:
    environment = {**os.environ, "CHROMIUM": "/no/browser", "CI": "true" if ci else ""}
    # Not those of the run that this test belongs to.
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "tests/e2e/dashboard/test_dashboard_shape.py"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    assert "CHROMIUM=/no/browser is not a program that runs" in done.stdout
    assert "_finalizers" not in done.stdout
    if ci:
        assert done.returncode == 1
        assert re.fullmatch(r"\d+ errors? in .*", last)
    else:
        assert done.returncode == 0, done.stdout
        assert re.fullmatch(r"\d+ skipped in .*", last)


# -- the packages that play S3


def test_packages_of_s3_are_installed_once_and_again_when_the_pins_change(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[list[str]] = []

    def pip(command: list[str], **named: object) -> subprocess.CompletedProcess[str]:
        installed.append(command)
        folder = Path(command[command.index("--target") + 1])
        folder.mkdir(parents=True)
        (folder / "moto_of_tests.py").write_text("here = True\n")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(Missing, match="`make setup` installs them"), s3.packages():
        pass
    for _ in range(2):
        s3.provide(lambda line: None)
    assert len(installed) == 1
    before = list(sys.path)
    with s3.packages():
        assert sys.path == [*before, str(tmp_path / ".tools" / "s3")]
    assert sys.path == before
    (tmp_path / ".tools/s3" / s3.PINS.name).write_text("moto==1\n")
    s3.provide(lambda line: None)
    assert len(installed) == 2


def test_packages_of_s3_that_cannot_be_had_are_a_sentence(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = subprocess.CompletedProcess([], 1, "", "Collecting moto\nERROR: no route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **named: answer)
    with pytest.raises(Missing, match=r"not found \(ERROR: no route to host\); `make setup`"):
        s3.provide(lambda line: None)


def test_packages_of_s3_are_pinned_and_beside_those_of_the_environment() -> None:
    def names(file: Path) -> dict[str, str]:
        lines = (line.split("==") for line in file.read_text().splitlines() if "==" in line)
        return {canonicalize_name(name): version for name, version in lines}

    pins, constraints = names(s3.PINS), names(CHECKOUT / "constraints.txt")
    assert {"moto", "s3fs", "botocore"} <= set(pins)
    # The store and its client are of one release.
    assert pins["s3fs"] == constraints["fsspec"]
