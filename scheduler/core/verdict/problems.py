"""Problems: what an operator has to know, each with a code that never changes its meaning."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Severity(IntEnum):
    """How bad a problem is (`quorate.v1.Severity`)."""

    NOTE = 1
    """Worth knowing: all is well all the same."""
    WARNING = 2
    ERROR = 3
    """Work stands still, or is about to."""


class Code(StrEnum):
    """The kinds of problems: the label `code` of `quorate_problems`."""

    NODE_LOST = "NODE_LOST"
    NO_NODES = "NO_NODES"
    TASKS_UNPLACEABLE = "TASKS_UNPLACEABLE"
    QUEUE_PAUSED = "QUEUE_PAUSED"
    QUEUE_STALLED = "QUEUE_STALLED"
    SERVICE_BELOW_REPLICAS = "SERVICE_BELOW_REPLICAS"
    NO_STANDBY = "NO_STANDBY"
    ETCD_MEMBER_UNHEALTHY = "ETCD_MEMBER_UNHEALTHY"
    ETCD_OLD = "ETCD_OLD"
    ETCD_SPACE = "ETCD_SPACE"
    CLOCKS_APART = "CLOCKS_APART"
    CERTIFICATE_EXPIRES = "CERTIFICATE_EXPIRES"
    BACKUP_OLD = "BACKUP_OLD"
    DEAD_LETTERS_RISING = "DEAD_LETTERS_RISING"


class Problem(NamedTuple):
    """One problem.

    `kind` and `name`: where to look, such as ("node", "n1"); a kind alone means its list. `queue`:
    the queue or service that it is about, "" for none: who may not see that does not see it.
    `since`: an instant; 0.0: the caller knows since when it has been there.
    """

    code: Code
    severity: Severity
    sentence: str
    kind: str
    name: str = ""
    queue: str = ""
    since: float = 0.0
