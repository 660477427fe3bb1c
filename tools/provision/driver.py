"""The Node.js that Playwright's driver runs on.

Playwright brings its own, which needs a library (libatomic) that a small system does not have.
Where that one does not run, the driver gets the Node.js that `make setup` has found or fetched.
"""

from __future__ import annotations

import os
from pathlib import Path

import playwright

from tools.provision import node, place

# Playwright reads it.
_VARIABLE = "PLAYWRIGHT_NODEJS_PATH"
_BUNDLED = Path(playwright.__file__).parent / "driver" / "node"


def make_it_run() -> None:
    """Choose the driver's Node.js for this process. Raises Missing when none runs."""
    if os.environ.get(_VARIABLE) or place.output_of([str(_BUNDLED), "--version"]) is not None:
        return
    program, _ = node.require()
    os.environ[_VARIABLE] = program
