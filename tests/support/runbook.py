"""The commands of docs/runbooks, run as an operator types them: the pages cannot be wrong."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

from quorate.etcd.server.binary import find_etcd
from tests.support.tls import etcd_environment

_PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
_BLOCK = re.compile(r"^<!-- tested by (\S+) -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Seconds.
_TRY_AGAIN = 0.2


class Runbook:
    """One page, worked through from its top.

    Args:
        page: its file name.
        test: the test file; only what the page says is tested by it is run.
        folder: where the commands are typed.
        environment: what `export` lines set on the page is taken from here.
    """

    def __init__(self, page: str, test: str, folder: Path, **environment: str) -> None:
        found = _BLOCK.findall((_PAGES / page).read_text())
        self._blocks = [text for by, text in found if by.endswith("/" + Path(test).name)]
        self._folder = folder
        etcdctl = find_etcd().etcdctl
        assert etcdctl is not None
        programs = f"{Path(sys.executable).parent}:{etcdctl.parent}"
        self._environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ETCDCTL_API": "3",
            "NO_COLOR": "1",
            **etcd_environment(),
            **environment,
        }
        self.page = page

    async def step(self, *, within: float = 0.0, **environment: str) -> str:
        """Type the next block, again for `within` seconds when it fails; what it printed."""
        assert self._blocks, f"{self.page} has no further step"
        lines = [line.removeprefix("$ ") for line in self._blocks.pop(0).splitlines()]
        script = "\n".join(line for line in lines if not line.startswith("export "))
        until = time.monotonic() + within
        while True:
            code, output = await self._type(script, environment)
            if code == 0:
                return output
            assert time.monotonic() < until, f"{script}\n{output}"
            # What the page says to try again is refused for seconds.
            await asyncio.sleep(_TRY_AGAIN)

    async def _type(self, script: str, environment: dict[str, str]) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=self._folder,
            env=self._environment | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, output.decode()

    def done(self) -> None:
        """Every block was typed."""
        assert not self._blocks, f"{self.page}: not run: {self._blocks}"
