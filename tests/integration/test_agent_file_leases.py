"""A task may hold a lease on its output (fcntl(2), F_SETLEASE): nobody of ours waits for it.

Whoever opens a file under a lease waits until its holder lets go, or 45 s: in the agent's loop that
would be the end of the node.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from node_agent.executors.launching import Start, fork
from tests.support.agent import Leader, command, eventually, running_agent, task_id

# Well below /proc/sys/fs/lease-break-time.
SOON = 10.0
_HOLD = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
os.write(1, b"x" * {size})
fcntl.fcntl(1, fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.write(2, b"held")
time.sleep(1000)
"""


def said_by(path: str) -> bytes:
    return Path(path).read_bytes() if Path(path).exists() else b""


def test_a_program_begins_although_another_holds_a_lease_on_its_output(tmp_path: Path) -> None:
    """Output files are used again while they are empty; something may be left of who had it."""
    out, err = tmp_path / "out", tmp_path / "err"
    script = (
        "import fcntl, os, signal, sys; signal.signal(signal.SIGIO, signal.SIG_IGN);"
        "file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600);"
        "fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK); print('held', flush=True);"
        "sys.stdin.read()"
    )
    null = os.open(os.devnull, os.O_RDONLY)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        start = Start(["echo", "mine"], {}, "/", null, str(out), str(err))
        pid = fork("/bin/echo", start, None, "")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert time.monotonic() - began < SOON
        assert out.read_bytes() == b"mine\n"
        holder.communicate("")
    os.close(null)


async def test_output_under_a_lease_is_waited_for_by_nobody(tmp_path: Path) -> None:
    cap = 64 << 10
    async with (
        running_agent(tmp_path / "node", slots=1, log_cap=cap) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        task = task_id()
        script = _HOLD.format(size=4 * cap)
        await session.assign(task, command(sys.executable, "-c", script))
        logs = agent.driver.logs
        await eventually(lambda: said_by(logs.path(task, 1, "stderr")) == b"held")
        began = time.monotonic()
        said = await leader.logs(task)
        assert said["stderr"] == b"held"
        logs.trim_running(iter(()))
        await session.cancel(task)
        await asyncio.wait_for(session.finished(task), SOON)
        assert time.monotonic() - began < SOON
        # All of what was kept of it, now that nobody holds it.
        assert len((await leader.logs(task))["stdout"]) in range(cap // 2, 2 * cap)
