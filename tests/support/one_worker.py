"""An agent with one worker, and functions that leave a mess in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.agent import Agent, Leader, Session, python, running_agent, task_id

MODULE = """
import json, os, sys

def leave(script):
    exec(script, {"__name__": "left"})
    return os.getpid()

def look(expression):
    space = {"os": os, "sys": sys}
    return [os.getpid(), eval(expression, {"__builtins__": __builtins__, "imported": __import__})]
"""
SETTER = """
import logging, os, warnings, threading, time
os.environ["SET_BY_IMPORT"] = "stays"
warnings.filterwarnings("ignore", message="of the module")
logging.getLogger("of_module").addHandler(logging.NullHandler())
CACHE = []
threading.Thread(target=time.sleep, args=(1000,), daemon=True, name="of-module").start()

def look():
    CACHE.append(1)
    handlers = len(logging.getLogger("of_module").handlers)
    return [os.getpid(), len(CACHE), os.environ.get("SET_BY_IMPORT"), handlers]
"""


class Run:
    """One agent with one worker."""

    def __init__(self, agent: Agent, leader: Leader, session: Session) -> None:
        self.agent, self.leader, self.session = agent, leader, session

    async def __call__(self, entrypoint: str, *args: Any) -> tuple[Any, dict[str, bytes]]:
        """What a call returned, and what it wrote."""
        task = task_id()
        await self.session.assign(task, python(entrypoint, *args))
        report = await self.session.finished(task)
        assert report.WhichOneof("outcome") == "result", report
        logs = {"stdout": b"", "stderr": b""}
        if self.agent.driver.logs.knows(task, 1):
            logs = await self.leader.logs(task)
        return json.loads(report.result.json), logs


@asynccontextmanager
async def one_worker(folder: Path) -> AsyncIterator[Run]:
    code = folder / "code"
    code.mkdir()
    (code / "messy.py").write_text(MODULE)
    (code / "setter.py").write_text(SETTER)
    async with (
        running_agent(folder / "node", slots=1, directory=code) as agent,
        Leader(agent.address) as leader,
    ):
        run = Run(agent, leader, await leader.open())
        await run("messy:look", "1")
        yield run
