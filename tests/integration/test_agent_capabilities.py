"""Capabilities of an agent that has them without being root end where its tasks' user begins.

systemd gives them so (`User=`, `AmbientCapabilities=`): ambient ones pass on to every program that
is started, unless the agent lets go of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import node_agent

# A spawner of its own, in the child, that starts one program as it starts any.
_SCRIPT = """
import os, sys
sys.path.append({checkout!r})
from node_agent.spawner.launching import Start, fork
from node_agent.spawner.spawner import Spawner
spawner = Spawner(None, "m", [])
spawner.on_confine(({uid}, {uid}, [{uid}]), True, "")
out = os.open({out!r}, os.O_WRONLY | os.O_CREAT, 0o600)
null = os.open("/dev/null", os.O_RDONLY)
start = Start(["cat", "/proc/self/status"], {{}}, "/", null, out, out)
pid = fork("/bin/cat", start, spawner.ids, "")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
_NEEDED = "+chown,+dac_override,+kill,+setgid,+setuid"
_AGENT, _TASKS = 3999999997, 3999999998


def test_tasks_get_no_capability_of_an_agent_that_is_not_root(tmp_path: Path) -> None:
    out = tmp_path / "out"
    checkout = str(Path(node_agent.__file__).parents[1])
    script = _SCRIPT.format(checkout=checkout, uid=_TASKS, out=str(out))
    become = []
    if os.geteuid() == 0:
        ids = (f"--reuid={_AGENT}", f"--regid={_AGENT}", "--clear-groups")
        become = ["setpriv", *ids, f"--inh-caps={_NEEDED}", f"--ambient-caps={_NEEDED}"]
    done = subprocess.run(
        [*become, sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if os.geteuid() != 0:
        # Whoever has no capabilities cannot become another user at all.
        assert "Operation not permitted" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    status = dict(line.split(":\t", 1) for line in out.read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(_TASKS)] * 4
    for name in ("CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
