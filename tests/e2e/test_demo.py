"""The demo, shortened: it kills a leader and a node, and says so itself when anything is off."""

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_demo_ends_well_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "examples/demo.py", "--limit", "240", "--nodes", "3"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Dashboard: https?://127\.0\.0\.1:\d+/\n", done.stdout)
    assert re.search(r"^metrics: \d\d+ documented series, all there$", done.stdout, re.MULTILINE)
    assert "SIGKILL to the leader" in done.stdout
    assert "SIGKILL to the node n3" in done.stdout
    table = dict(
        line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if len(line.split()) > 1
    )
    assert table["files"] == "240"
    assert int(table["leader epoch after"]) > int(table["leader epoch before"])
    assert int(table["attempts"]) >= int(table["tasks"])
    assert (table["differences"], table["left running"]) == ("0", "0")
