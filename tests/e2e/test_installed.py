"""Installed by pip, outside a checkout: `quorate up` works, and gets its own etcd for the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quorate.etcd.server.binary import find_etcd
from tests.support import tls
from tests.support.needs import need_dashboard

CHECKOUT = Path(__file__).resolve().parents[2]

# A Debian whose package etcd-server has the etcd of this machine.
APT_GET = """#!/bin/sh
case " $* " in
*" --print-uris "*) echo "'there/etcd-server_1_all.deb' etcd-server_1_all.deb 9000000 MD5:0";;
*" download "*) touch etcd-server_1_all.deb;;
esac
"""
DPKG_DEB = """#!/bin/sh
mkdir -p "$3/usr/bin" && ln -s {folder}/etcd "$3/usr/bin/etcd"
"""


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed, as site-packages would have it."""
    # The wheel carries the dashboard: built once, before pip builds the wheel.
    need_dashboard()
    folder = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT))
    (wheel,) = folder.glob("quorate-*.whl")
    pip("install", "--no-deps", "--target", str(folder / "site"), str(wheel))
    return folder / "site"


def test_up_gets_an_etcd_for_the_user_and_leaves_the_current_folder_alone(
    site: Path, tmp_path: Path
) -> None:
    programs, here, data = tmp_path / "bin", tmp_path / "here", tmp_path / "data"
    # What lies around in the current folder is not run.
    planted = here / ".etcd" / "unpacked" / "usr" / "bin" / "etcd"
    for folder in (programs, planted.parent):
        folder.mkdir(parents=True)
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/harm\n")
    planted.chmod(0o755)
    dpkg = DPKG_DEB.format(folder=find_etcd().path.parent)
    for name, text in (("apt-get", APT_GET), ("dpkg-deb", dpkg)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("sh", "touch", "mkdir", "ln", "timeout"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    environment = {
        **{k: v for k, v in os.environ.items() if k != "QUORATE_ETCD_BIN"},
        "PATH": str(programs),
        "PYTHONPATH": str(site),
        "XDG_DATA_HOME": str(tmp_path / "share"),
        "QUORATE_DATA_DIR": str(data),
    }

    def quorate(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "quorate", *words],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    try:
        up = quorate("up", "-d", "--nodes", "1")
        assert up.returncode == 0, up.stdout + up.stderr
        assert "etcd: downloading etcd-server" in up.stderr
        assert (tmp_path / "share/quorate/etcd/unpacked/usr/bin/etcd").exists()
        if not tls.ON:
            done = quorate("submit", "--wait", "--", sys.executable, "-c", "print('hello')")
            assert done.stdout.splitlines()[-1] == "hello", done.stdout + done.stderr
    finally:
        quorate("down")
    assert not (tmp_path / "harm").exists()
    assert os.listdir(here) == [".etcd"]
    # The second time it is there.
    again = quorate("up", "-d", "--nodes", "1", "--schedulers", "0")
    assert "downloading" not in again.stderr
