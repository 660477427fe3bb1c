"""Builds the documentation site into `build/site`: `make docs`. Any warning fails it.

Diagrams are drawn in the browser by mermaid, which npm brings (pinned, its scripts not run) and the
site carries along, so that it can be read without the internet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.dashboard import build_ui
from tools.docs.pages import MERMAID

_FOLDER: Final = MERMAID.parents[3]
_MERMAID: Final = "mermaid@11.12.1"


def main() -> int:
    """Build; the exit code of mkdocs."""
    if not MERMAID.is_file():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        npm, environment = build_ui.npm()
        flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(
            [*npm, "install", *flags, "--prefix", str(_FOLDER), _MERMAID],
            env=environment,
            check=True,
        )
    argv = [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--quiet"]
    # Its theme announces a successor; that is no finding about these pages.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, env=environment, check=False)
    if done.returncode == 0:
        print("build/site/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
