"""Looks up the secrets that tasks name, on this node and only when an attempt starts.

Sources are files below one directory, and those variables of the agent's environment that its
operator allows. Nothing is kept: a file that was replaced is read anew by the next attempt. Values
are in the memory of agent, spawner and worker and in the environment of the attempt, never in a
log, a report or a file of the agent; errors name the reference alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from node_agent.task.environment import Patterns

# Bytes of one secret, and of all secrets of one attempt: they travel in one packet, so that they
# are never spilled to disk.
MAX_SECRET = 16 * 1024
MAX_SECRETS = 24 * 1024


class Reference(NamedTuple):
    """Where a value is; see `quorate.v1.SecretRef`."""

    source: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"


class SecretError(Exception):
    """A secret that an attempt cannot have; `type` is that of the attempt's failure."""

    def __init__(self, type_: str, message: str) -> None:
        super().__init__(message)
        self.type = type_


@dataclass(frozen=True, slots=True)
class Secrets:
    """What this node offers.

    Args:
        directory: of the files; None offers none.
        allowed: names of variables that tasks may have.
        environment: where those are.
    """

    directory: Path | None = None
    allowed: Patterns = field(default_factory=lambda: Patterns(()))
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def resolve(self, wanted: Mapping[str, Reference]) -> dict[str, str]:
        """The values, by variable. Raises SecretFault.

        Reads small local files at once: secrets are mounted in memory as a rule.
        """
        found: dict[str, str] = {}
        total = 0
        for name, reference in wanted.items():
            data = self._file(reference) if reference.source == "file" else self._env(reference)
            total += len(data)
            if len(data) > MAX_SECRET or total > MAX_SECRETS:
                raise SecretError(
                    "SECRET_NOT_USABLE",
                    f"{reference}: a secret has at most {MAX_SECRET} bytes, "
                    f"all of an attempt together {MAX_SECRETS}",
                )
            if b"\0" in data:
                raise SecretError(
                    "SECRET_NOT_USABLE", f"{reference} holds NUL, which no variable can"
                )
            found[name] = os.fsdecode(data)
        return found

    def _env(self, reference: Reference) -> bytes:
        value = self.environment.get(reference.name) if self.allowed.match(reference.name) else None
        if value is None:
            # One text for both: what the agent has and does not offer is nobody's business.
            raise SecretError("SECRET_NOT_FOUND", f"this node offers no secret {reference}")
        return os.fsencode(value)

    def _file(self, reference: Reference) -> bytes:
        missing = SecretError("SECRET_NOT_FOUND", f"this node offers no secret {reference}")
        if self.directory is None or "\0" in reference.name:
            raise missing
        try:
            root = os.path.realpath(self.directory, strict=True)
            # Kubernetes mounts secrets as links within the directory; none may lead out of it.
            path = os.path.realpath(os.path.join(root, reference.name), strict=True)
            if not path.startswith(root + os.sep):
                raise missing
            # Not blocking: it might be a pipe.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            raise SecretError("SECRET_NOT_USABLE", f"the agent may not read {reference}") from None
        except OSError:
            raise missing from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise missing
            data = os.read(file, MAX_SECRET + 2)
        except OSError as error:
            raise SecretError(
                "SECRET_NOT_USABLE", f"{reference} cannot be read: {error.strerror}"
            ) from None
        finally:
            os.close(file)
        # Most files end with a newline, and no password does.
        return data.removesuffix(b"\n")
