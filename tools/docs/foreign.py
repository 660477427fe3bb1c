"""Scripts that pages of the documentation site load from other hosts: there should be none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FOREIGN: Final = re.compile(r"<script[^>]* src=\"?(https?:)?//[^>]*>")


def foreign_scripts(site: Path) -> list[str]:
    """The pages below `site` that load a script from another host, each with its first one."""
    found = []
    for page in sorted(site.rglob("*.html")):
        script = _FOREIGN.search(page.read_text())
        if script:
            found.append(f"{page.relative_to(site)}: {script[0]} needs the internet")
    return found
