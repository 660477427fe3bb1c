"""Whoever closes the standard streams of a command still has it run, and its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

_RUN = "import os, sys; from quorate.cli.app import main; code = main(); os._exit(code)"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("nonsense", 2)])
def test_a_command_runs_with_closed_streams(closed: str, words: str, code: int) -> None:
    line = f'"$0" -c "$1" {words} {closed}'
    done = subprocess.run(["sh", "-c", line, sys.executable, _RUN], capture_output=True)
    assert done.returncode == code
    assert b"NoneType" not in done.stderr
