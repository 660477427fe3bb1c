"""An agent whose attempts are held to terms, with a session."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from node_agent.executors.confinement import Confinement
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.agent import Agent, Leader, Session, command, python, running_agent, task_id

PLAIN = Confinement(environment={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
OUTPUT = "subprocess:getoutput"


class Run:
    """An agent with a session, and what its attempts wrote."""

    def __init__(self, agent: Agent, leader: Leader, session: Session) -> None:
        self.agent = agent
        self.leader = leader
        self.session = session

    async def __call__(self, spec: task_pb2.TaskSpec) -> tuple[pb.AttemptFinished, str]:
        task = task_id()
        await self.session.assign(task, spec)
        report = await self.session.finished(task)
        said = await self.leader.logs(task)
        return report, (said["stdout"] + said["stderr"]).decode()

    async def sh(self, script: str, **work: Any) -> str:
        """What a script that succeeds says."""
        report, said = await self(command("sh", "-c", script, **work))
        assert report.WhichOneof("outcome") == "result", (report, said)
        return said

    async def call(self, entrypoint: str, *args: object) -> str:
        """The JSON that a function gives back."""
        report, _ = await self(python(entrypoint, *args))
        assert report.WhichOneof("outcome") == "result", report
        return report.result.json


@asynccontextmanager
async def running(data: Path, confinement: Confinement, **more: Any) -> AsyncIterator[Run]:
    async with (
        running_agent(data, confinement=confinement, **more) as agent,
        Leader(agent.address) as leader,
    ):
        yield Run(agent, leader, await leader.open())


@contextmanager
def open_folder() -> Iterator[Path]:
    """Where other users may go, as they may not in pytest's own folders."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        yield folder
