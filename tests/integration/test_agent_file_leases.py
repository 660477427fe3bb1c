"""Outputs are pipes: a task has no file on which it could hold a lease (fcntl(2), F_SETLEASE).

Whoever opens a file under a lease waits until its holder lets go, or 45 s: in the agent's loop that
would be the end of the node.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.agent import Leader, command, running_agent, task_id

_HOLD = """
import errno, fcntl, os
for number in (1, 2):
    try:
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        assert error.errno == errno.EINVAL, error
    else:
        raise AssertionError("a lease on an output")
    try:
        os.truncate(number, 1 << 40)
    except OSError as error:
        assert error.errno == errno.EINVAL, error
    else:
        raise AssertionError("an output of a terabyte")
print("no lease")
"""


async def test_no_lease_and_no_size_can_be_put_on_an_output(tmp_path: Path) -> None:
    async with (
        running_agent(tmp_path / "node", slots=1) as agent,
        Leader(agent.address) as leader,
    ):
        session = await leader.open()
        task = task_id()
        await session.assign(task, command(sys.executable, "-c", _HOLD))
        report = await session.finished(task)
        assert report.WhichOneof("outcome") == "result", report
        assert (await leader.logs(task))["stdout"] == b"no lease\n"
