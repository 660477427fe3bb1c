"""Which variables of the agent's own environment attempts may see.

The agent's environment holds its credentials (`QUORATE_ETCD_PASSWORD`, tokens of a cloud): attempts
get what a program needs to run at all, and what the operator adds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

# What a program needs to run and to speak the user's language; nothing that is a credential.
DEFAULT_ENVIRONMENT = (
    "PATH,HOME,USER,LOGNAME,SHELL,LANG,LANGUAGE,LC_*,TZ,TMPDIR,LD_LIBRARY_PATH,PYTHON*"
)
MAX_PATTERNS = 64
_PATTERN = re.compile(r"[A-Za-z0-9_*?]{1,128}")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Names of variables; `*` stands for any characters and `?` for one."""

    names: tuple[str, ...]

    def match(self, name: str) -> bool:
        """Whether one of them fits."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def select(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The variables that fit."""
        return {name: value for name, value in environment.items() if self.match(name)}


def patterns(text: str) -> Patterns:
    """`PATH,LC_*` as patterns. Raises ValueError."""
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    if len(names) > MAX_PATTERNS:
        raise ValueError(f"{len(names)} names are too many; at most {MAX_PATTERNS} are allowed")
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise ValueError(
                f"{name[:80]!r} is not a variable's name (letters, digits, _, and the wildcards "
                "* and ?; at most 128 characters)"
            )
    return Patterns(names)
