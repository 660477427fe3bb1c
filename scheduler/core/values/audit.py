"""What the audit log says of a call."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """Who asks for a change, for the audit log: see `quorate.v1.AuditEntry`."""

    caller: str
    role: str
    credential: str
    peer: str
    method: str


class Change(NamedTuple):
    """One field that a call changed; both values "" where they are not for everybody."""

    field: str
    before: str = ""
    after: str = ""
