"""One supervised process: a restart that takes long is not ended for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from quorate.local import child as module
from quorate.local.child import Child

# Ready at once the first time, and after a while from then on, as on a machine under load.
PROGRAM = """
import pathlib, sys, time
seen = pathlib.Path(sys.argv[1])
if seen.exists():
    time.sleep(3.0)
seen.touch()
print("it is ready address=a:1", flush=True)
time.sleep(60)
"""


async def test_a_restart_that_takes_long_gets_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READY_TIMEOUT", 2.0)
    monkeypatch.setattr(module, "_PAUSE", (0.01, 0.01))
    argv = [sys.executable, "-I", "-c", PROGRAM, str(tmp_path / "seen")]
    one = Child("s1", "scheduler", argv, "a:1", tmp_path / "log", os.environ, lambda: None)
    running = asyncio.create_task(one.run())
    try:
        await asyncio.wait_for(one.ready.wait(), 60)
        first = one.record.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            while one.state != "running" or one.record.pid in (0, first):
                await asyncio.sleep(0.01)
        assert one.restarts >= 2
        assert "not ready within 2 s" in (tmp_path / "log").read_text()
    finally:
        await one.stop(5.0)
        await running
