"""What the tests of `quorate.Executor` as an executor of `concurrent.futures` share.

`environment` makes `Executor()` find a served cluster, in this process and in scripts that it runs.
The names of the tests are those of CPython's `test_concurrent_futures`, case by case; the code is
our own. docs/executor.md has the table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from tests.support.served import Served
from tests.support.tls import client_environment


def environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the SDK of this process and of its children use the cluster."""
    monkeypatch.setenv("QUORATE_ADDRESS", served.address)
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)


def run_script(text: str, *arguments: str, seconds: float = 60.0) -> subprocess.CompletedProcess:
    """Run a program that uses the SDK; what it printed, and how it ended."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def executor_threads() -> list[threading.Thread]:
    """Threads of executors that live."""
    return [t for t in threading.enumerate() if t.name.startswith("quorate-")]
