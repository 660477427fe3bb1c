"""A task may hold a lease on its output (fcntl(2), F_SETLEASE): nobody of ours waits for it.

Whoever opens a file under a lease waits until its holder lets go, or 45 s: in the agent's loop that
would be the end of the node.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

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
