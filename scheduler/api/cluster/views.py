"""Whoever calls, as it is shown to itself."""

from __future__ import annotations

from quorate.runtime.ids import ANONYMOUS
from quorate.security.identity import Caller, Role
from quorate.security.policy import ROLES
from quorate.v1 import cluster_pb2


def caller(known: Caller | None) -> cluster_pb2.Caller:
    """Whoever calls; None: authentication is off."""
    if known is None:
        return cluster_pb2.Caller(name=ANONYMOUS, permissions=sorted(ROLES[Role.ADMIN]))
    return cluster_pb2.Caller(
        name=str(known),
        permissions=sorted(ROLES[known.role]),
        patterns=known.patterns if known.bound else (),
    )
