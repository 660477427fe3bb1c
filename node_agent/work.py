"""What an attempt runs, as executors see it: plain values decoded from a `TaskSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from node_agent.core.health import HealthTerms


@dataclass(frozen=True, slots=True)
class Command:
    """A program; see `quorate.v1.CommandWork`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdin: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A Python call; see `quorate.v1.PythonWork`."""

    entrypoint: str
    kind: Literal["", "json", "pickle"]
    arguments: str | bytes


@dataclass(frozen=True, slots=True)
class Check:
    """How the health of a replica is found out.

    `target` is the path of an HTTP check, the service name of a gRPC one.
    """

    kind: Literal["http", "tcp", "grpc"]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica of a service; see `quorate.v1.ServiceWork`."""

    service: str
    generation: int
    command: Command
    check: Check
    terms: HealthTerms
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A spec this agent does not understand (a newer leader's, or broken bytes)."""

    why: str


Work = Command | Call | Replica | Unreadable
