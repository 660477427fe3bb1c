"""The spawner's process: its signals, its rights, its channel to the agent.

Run by the agent with <channel fd> <mark> <lane fd>,<marks fd>... Standard library only.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from node_agent.spawner.launching import keep
from node_agent.spawner.rights import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, prctl
from node_agent.spawner.spawner import Spawner


def main() -> None:
    """Serve the agent that started this process."""
    channel_fd, mark, *lane_fds = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Attempts that run as our own user may not look into our memory.
    prctl(PR_SET_DUMPABLE, 0)
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    # Warnings are off: a full pipe means that the wake-up is already on its way.
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    channel = socket.socket(fileno=int(channel_fd))
    os.set_inheritable(channel.fileno(), False)
    lanes = [[keep(int(number)) for number in text.split(",")] for text in lane_fds]
    spawner = Spawner(channel, mark, lanes)
    spawner.marks.open_many()
    try:
        spawner.serve(read_end)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the agent died while we were telling it something
    finally:
        spawner.end()
