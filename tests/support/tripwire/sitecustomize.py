"""Writes down each service of Quorate that a locked test run starts, however it was started.

`tests/e2e/conftest.py` puts this folder first in PYTHONPATH: Python imports a module of this name
before any other in each process, also in those that a supervisor starts.
"""

import json
import os
import sys

SERVICES = ("scheduler", "node_agent", "gateway")


def tell(path: str) -> None:
    """One line, in one write: many processes have the file open."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    if module not in SERVICES:
        return
    started = {
        "module": module,
        "pid": os.getpid(),
        "flags": words[words.index("-m") + 2 :],
        "plain": os.environ.get("QUORATE_TEST_PLAIN", ""),
    }
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, json.dumps(started).encode() + b"\n")
    os.close(file)


if "QUORATE_TEST_STARTED" in os.environ:
    tell(os.environ["QUORATE_TEST_STARTED"])
