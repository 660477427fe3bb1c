"""Packages unpacked without being installed, by a fake apt-get on a PATH of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quorate.runtime.process import debian_packages
from quorate.runtime.process.debian_packages import PackagesUnavailable, install, unpack

# Knows packages only when its lists were fetched: the marker `lists` in the state folder.
APT = """#!/bin/sh
echo "$*" >> {world}/calls
state={world}/system
for word in "$@"; do
  case "$word" in Dir::State=*) state="${{word#Dir::State=}}";; esac
done
case " $* " in
*" update "*) touch "$state/lists-fetched"; exit 0;;
esac
[ -e {world}/no-network ] && {{ echo "E: Temporary failure resolving"; exit 100; }}
[ -e "$state/lists-fetched" ] || {{ echo "E: Unable to locate package tool"; exit 100; }}
case " $* " in
*" --print-uris "*)
  [ -e {world}/cached ] && case " $* " in *Dir::Cache::archives=*) ;; *) exit 0;; esac
  echo "'http://there/tool_1_all.deb' tool_1_all.deb 30000000 SHA256:00"
  echo "'http://there/lib_2_all.deb' lib_2_all.deb 12000000 SHA256:00";;
*" download "*)
  [ -e {world}/outdated ] && {{ rm {world}/outdated; echo "Err:1 404 Not Found"; exit 100; }}
  echo "Get:1 http://there bookworm/main amd64 tool all 1 [30 MB]"
  echo "Get:2 http://there bookworm/main amd64 lib all 2 [12 MB]"
  touch tool_1_all.deb lib_2_all.deb;;
*" install "*) touch {world}/installed;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin" "$3/etc"
echo "$2" >> "$3/usr/bin/contents"
ln -sfn /usr/bin/contents "$3/etc/inside"
ln -sfn /somewhere/else "$3/etc/outside"
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian without lists of packages, and a user without rights."""
    world = tmp_path / "world"
    (world / "system").mkdir(parents=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", APT.format(world=world)), ("dpkg-deb", DPKG)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("sh", "touch", "mkdir", "ln", "rm", "timeout", "echo"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(debian_packages, "_lists", None)
    become(monkeypatch, 1000)
    return world


def become(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


def calls(world: Path, verb: str) -> list[str]:
    return [line for line in (world / "calls").read_text().splitlines() if f" {verb}" in line]


def test_without_rights_and_lists_a_private_copy_of_the_lists_is_fetched_once(
    world: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    root = unpack(["tool"], tmp_path / "a", said.append, with_dependencies=True)
    assert (root / "usr/bin/contents").read_text() == "lib_2_all.deb\ntool_1_all.deb\n"
    unpack(["tool"], tmp_path / "b", said.append)
    (update,) = calls(world, "update")
    assert "Dir::State=" in update
    assert not (world / "system" / "lists-fetched").exists()
    assert said[:2] == [
        "fetching the lists of packages",
        "downloading tool and 1 packages, 42.0 MB",
    ]
    assert "30 of 42 MB" in said


def test_root_fetches_the_lists_of_the_system(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, 0)
    unpack(["tool"], tmp_path / "a", debian_packages.silent)
    assert (world / "system" / "lists-fetched").exists()
    (update,) = calls(world, "update")
    assert "Dir::State=" not in update


def test_outdated_lists_are_fetched_again(world: Path, tmp_path: Path) -> None:
    (world / "system" / "lists-fetched").touch()
    (world / "outdated").touch()
    unpack(["tool"], tmp_path / "a", debian_packages.silent)
    assert len(calls(world, "update")) == 1
    assert len(calls(world, "download")) >= 2


def test_a_failure_is_one_line_and_keeps_what_was_there(world: Path, tmp_path: Path) -> None:
    unpack(["tool"], tmp_path / "a", debian_packages.silent)
    (world / "no-network").touch()
    with pytest.raises(PackagesUnavailable) as failure:
        unpack(["tool"], tmp_path / "a", debian_packages.silent)
    assert str(failure.value) == "apt-get download: E: Temporary failure resolving"
    assert (tmp_path / "a" / "unpacked" / "usr/bin/contents").exists()
    assert sorted(os.listdir(tmp_path / "a")) == [".lock", "unpacked"]


def test_what_is_in_the_cache_of_apt_is_unpacked_too(world: Path, tmp_path: Path) -> None:
    (world / "cached").touch()
    root = unpack(["tool"], tmp_path / "a", debian_packages.silent, with_dependencies=True)
    assert (root / "usr/bin/contents").read_text() == "lib_2_all.deb\ntool_1_all.deb\n"


def test_links_of_packages_lead_into_the_unpacked_tree(world: Path, tmp_path: Path) -> None:
    root = unpack(["tool"], tmp_path / "a", debian_packages.silent)
    assert (root / "etc/inside").resolve() == root / "usr/bin/contents"
    assert os.readlink(root / "etc/outside") == "/somewhere/else"


def test_a_folder_that_cannot_be_written_is_one_line(world: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PackagesUnavailable, match="Not a directory") as failure:
        unpack(["tool"], tmp_path / "file" / "a", debian_packages.silent)
    assert "\n" not in str(failure.value)


def test_only_root_installs(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackagesUnavailable, match="needs root"):
        install(["tool"], debian_packages.silent)
    become(monkeypatch, 0)
    said: list[str] = []
    install(["tool"], said.append)
    assert (world / "installed").exists()
    assert said == [
        "fetching the lists of packages",
        "installing tool and 1 packages, 42.0 MB",
    ]


def test_elsewhere_than_on_debian_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackagesUnavailable, match="no apt-get"):
        unpack(["tool"], tmp_path / "a", debian_packages.silent)
    assert not (tmp_path / "a").exists()
