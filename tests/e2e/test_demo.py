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
    rows = re.findall(r"^(\S.*?)  +([\d.,]+) *$", done.stdout, re.MULTILINE)
    table = {name.strip(): value for name, value in rows}
    assert table["files"] == "240"
    assert table["subtasks of one job"] == "50,000"
    assert int(table["its result, by two levels of reduces"].replace(",", "")) > 1_000_000
    assert re.search(r"^10 and 1 reduces: [\d,]+$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^job [0-9a-f]{32}: SUCCEEDED, 50,000 subtasks in ", done.stdout, re.MULTILINE
    )
    assert int(table["leader epoch after"]) > int(table["leader epoch before"])
    assert int(table["attempts (a killed node's tasks run again)"]) >= int(table["tasks"])
    assert (table["differences from the results of one process"], table["left running"]) == (
        "0",
        "0",
    )
