"""Find promtool, which checks metrics and rules of Prometheus.

On PATH, else unpacked (not installed) from the Debian or Ubuntu package `prometheus`: see
`tools.provision.needs`.
"""

from __future__ import annotations

from pathlib import Path

from tools.provision import place
from tools.provision.needs import PROMTOOL, require


def find_promtool() -> Path:
    """Where it is. Raises `tools.provision.place.Missing` with what to do instead."""
    require(PROMTOOL)
    return Path(str(place.find("promtool")))
