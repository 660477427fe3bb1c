"""The program with which docs/clients.md begins submits a task."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from examples.clients.tests.building import BUILD_SECONDS, PROTOS, RECIPES, ROOT
from examples.clients.tests.leaders import Cluster

_PAGE = ROOT / "docs" / "clients.md"
_ADDRESS = "127.0.0.1:7480"
(_JAVASCRIPT,) = (recipe for recipe in RECIPES if recipe.language == "javascript")


@pytest.mark.timeout(BUILD_SECONDS + 60)
@pytest.mark.parametrize("cluster", ["plaintext"], indirect=True)
def test_the_first_program_of_the_guide_prints_the_id_of_its_task(
    cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "javascript" not in request.config.getoption("--languages"):
        pytest.skip("--languages leaves JavaScript out")
    _JAVASCRIPT.command()  # installs its packages, those that the guide installs
    assert _JAVASCRIPT.installs is not None
    (tmp_path / "node_modules").symlink_to(_JAVASCRIPT.installs)
    (tmp_path / "protos").symlink_to(PROTOS)
    (program,) = re.findall(r"^```text\n(import grpc .*?)^```$", _PAGE.read_text(), re.M | re.S)
    assert program.count(_ADDRESS) == 1
    (tmp_path / "first.mjs").write_text(program.replace(_ADDRESS, cluster.addresses[0]))

    done = subprocess.run(
        ["node", "first.mjs"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert re.fullmatch(r"[0-9a-f]{32}\n", done.stdout), done.stdout + done.stderr
