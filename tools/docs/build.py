"""Builds the documentation site into `build/site`: `make docs`. Any warning fails it.

The site can be read from a folder, without the internet. So it carries along two scripts that npm
brings (pinned, their own scripts not run): mermaid draws diagrams in the browser, and iframe-worker
lets the search run in pages that were opened as files. A page that loads a script from elsewhere
fails the build.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.dashboard import build_ui
from tools.docs.foreign import foreign_scripts
from tools.docs.pages import CHECKOUT, IFRAME_WORKER, MERMAID

_FOLDER: Final = MERMAID.parents[3]
_SITE: Final = CHECKOUT / "build/site"
_PACKAGES: Final = ("mermaid@11.12.1", "iframe-worker@1.0.4")


def main() -> int:
    """Build; the exit code of mkdocs."""
    if not (MERMAID.is_file() and IFRAME_WORKER.is_file()):
        _FOLDER.mkdir(parents=True, exist_ok=True)
        npm, environment = build_ui.npm()
        flags = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(
            [*npm, "install", *flags, "--prefix", str(_FOLDER), *_PACKAGES],
            env=environment,
            check=True,
        )
    argv = [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--quiet"]
    # Its theme announces a successor; that is no finding about these pages.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, env=environment, check=False)
    if done.returncode:
        return done.returncode
    foreign = foreign_scripts(_SITE)
    for line in foreign:
        print(line, file=sys.stderr)
    if foreign:
        return 1
    print("build/site/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
