"""What the state of the log does not say: of processes, etcd and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Member(NamedTuple):
    """A member of etcd by its endpoint; `version` is empty when it does not answer."""

    endpoint: str
    version: str


class Facts(NamedTuple):
    """What the leader knows beside the log; what it does not know is left out.

    `schedulers`: candidates of the election; 0: not known. `etcd_in_use`, `etcd_quota`: bytes.
    `clock_offset`: seconds that the leader's clock is ahead of the nodes' clocks.
    `certificates`: by purpose until when each is valid (Unix time; 0.0: it cannot be read).
    `last_backup`: Unix time; 0.0: never; None: not known.
    """

    schedulers: int = 0
    etcd_members: tuple[Member, ...] = ()
    etcd_in_use: int = 0
    etcd_quota: int = 0
    etcd_no_space: bool = False
    clock_offset: float | None = None
    certificates: Mapping[str, float] = {}
    last_backup: float | None = None
