"""What an attempt runs, as executors see it: plain values decoded from a `TaskSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node_agent.core.services.health import HealthTerms
from node_agent.task.secrets import Reference


@dataclass(frozen=True, slots=True)
class Command:
    """A program; see `quorate.v1.CommandWork`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    stdin: bytes
    secrets: Mapping[str, Reference] = field(default_factory=dict)
    # Bytes and cores that it asks for; 0 for nothing.
    memory: int = 0
    cpu: float = 0.0
    # Its input, where that is in the blob store: the `text` of a `quorate.blobs.names.Blob`.
    large_input: str = ""


@dataclass(slots=True)
class Call:
    """A Python call; see `quorate.v1.PythonWork`.

    Nobody changes it; frozen, it would take 0.3 us more to make.
    """

    entrypoint: str
    # With "-blob": the arguments are the `text` of a `quorate.blobs.names.Blob`.
    kind: Literal["", "json", "pickle", "json-blob", "pickle-blob"]
    arguments: str | bytes
    secrets: Mapping[str, Reference] = field(default_factory=dict)
    # Bytes that it asks for; 0 for nothing.
    memory: int = 0
    # More of its environment.
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ArrayCall(Call):
    """The template of an array's subtasks; which of them the attempt runs is in its chunk."""


@dataclass(frozen=True, slots=True)
class ArrayCommand(Command):
    """As `ArrayCall`, of programs."""


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


Work = Command | Call | ArrayCommand | ArrayCall | Replica | Unreadable
