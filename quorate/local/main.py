"""The supervisor without a terminal: `python -m quorate.local`. See `quorate.local.background`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from quorate.local.supervisor import Supervisor
from quorate.runtime.errors import QuorateError


def main() -> int:
    """Run a cluster until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m quorate.local")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--cluster", default="local")
    for name, default in (("schedulers", 2), ("nodes", 3), ("slots", 0), ("port", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--secure", action="store_true")
    parser.add_argument("--gateway", action="store_true")
    parser.add_argument("--gateway-port", type=int, default=0)
    parser.add_argument("--amqp", action="store_true")
    parser.add_argument("--amqp-port", type=int, default=0)
    parser.add_argument("--lease-ttl", type=float, default=2.0)
    try:
        asyncio.run(_run(LocalPlan(**vars(parser.parse_args()))))
    except QuorateError as error:
        _answer({"error": error.message, "code": error.code.name, "reason": error.reason})
        return 1
    return 0


async def _run(plan: LocalPlan) -> None:
    reported = False

    def on_change(cluster: LocalCluster) -> None:
        nonlocal reported
        if cluster.ready and not reported:
            reported = True
            _answer({"ready": True})
            _leave_terminal(plan.data_dir)

    supervisor = Supervisor(plan, on_change)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(signum, supervisor.stop)
    await supervisor.run()


def _answer(answer: dict[str, object]) -> None:
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        return  # nobody listens any more


def _leave_terminal(data_dir: Path) -> None:
    """From now on what is written goes to a file: the terminal is somebody else's."""
    log = os.open(data_dir / "logs" / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
