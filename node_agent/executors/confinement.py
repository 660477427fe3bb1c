"""What holds every attempt of a node: its user, its cgroup, its environment, its privileges.

Settled once at the start by the app; the spawner carries it out for each process it starts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from node_agent.spawner.cgroups.places import TaskGroups
from node_agent.task.user import TaskUser


@dataclass(frozen=True, slots=True)
class Confinement:
    """Attempts' terms.

    Args:
        user: whom they run as; None: as the agent.
        groups: where they get cgroups; None: nowhere.
        new_privileges: whether they may gain some, by a set-user-ID program such as sudo.
        environment: what they see of the agent's, before what their spec adds.
    """

    user: TaskUser | None = None
    groups: TaskGroups | None = None
    new_privileges: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def base_environment(self) -> dict[str, str]:
        """What is in each attempt's environment."""
        own = self.user.environment if self.user is not None else {}
        return {**self.environment, **own}

    @property
    def ids(self) -> tuple[int, int, list[int]] | None:
        """User, group and supplementary groups, as the spawner takes them."""
        return (self.user.uid, self.user.gid, list(self.user.groups)) if self.user else None
