"""Puts the built dashboard into the wheel. See `tools/dashboard/build_ui.py`.

An editable install builds nothing here: `make setup` does, and only what changed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from tools.dashboard import build_ui


class DashboardHook(BuildHookInterface[Any]):
    """`[tool.hatch.build.targets.wheel.hooks.custom]`"""

    def dependencies(self) -> list[str]:
        """What the build environment needs besides: Node.js, where the machine has none."""
        if self.target_name != "wheel" or build_ui.has_node():
            return []
        return [build_ui.NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and add the result."""
        if version == "editable":
            return
        if not build_ui.is_current():
            build_ui.build()
        build_data["artifacts"].append("gateway/_ui/**")
