"""Who calls: a name, a role, and the names of queues and services that the caller is bound to.

A `Caller` is made once for a call, by what checked its credential, and travels in a context
variable: whoever needs to know who asked (the audit log, a listing that leaves things out) reads
`current_caller()`. It is None where authentication is off.

Certificates say who in their subject's common name, `<role>:<name>`, such as `node:n1`. They bind
to no queue: give people and programs that are to be bound a token.

From scheduler to scheduler an identity travels in the metadata `quorate-caller` (`encode`,
`decode`), which counts only on a connection that showed a `scheduler:` certificate.
"""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from math import inf, isfinite
from typing import Final

from quorate.security.metadata import PASSED_ON

EVERYTHING: Final = ("*",)
# Patterns of one caller, and characters of one.
MOST_PATTERNS: Final = 16
MOST_PATTERN: Final = 64
_MOST_PASSED_ON: Final = 4096
_DEFAULT_VIRTUAL_HOST: Final = "/"

_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@|:/+-]{0,127}")
_pattern = re.compile(rf"[A-Za-z0-9._/*?-]{{1,{MOST_PATTERN}}}")


class Role(StrEnum):
    """What a caller is; `quorate.security.policy` says what each may do."""

    ADMIN = "admin"
    OPERATOR = "operator"
    SUBMITTER = "submitter"
    VIEWER = "viewer"
    SCALER = "scaler"
    SERVICE = "service"
    GATEWAY = "gateway"
    NODE = "node"
    SCHEDULER = "scheduler"


# Processes that the cluster itself trusts: known by certificate, never by a token.
CERTIFICATE_ONLY: Final = frozenset((Role.NODE, Role.SCHEDULER))


class How(StrEnum):
    """By which credential a caller is known."""

    CERTIFICATE = "certificate"
    TOKEN = "token"
    JWT = "jwt"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    * `patterns`: names of queues, services, message queues and exchanges that it is bound to; `*`
      and `?` as in a shell.
    * `expires`: seconds since 1970 until which the credential holds.
    """

    name: str
    role: Role
    how: How
    patterns: tuple[str, ...] = EVERYTHING
    expires: float = inf

    def __str__(self) -> str:
        return f"{self.role}:{self.name}"

    @property
    def bound(self) -> bool:
        """Whether there are names that it may not name."""
        return "*" not in self.patterns

    def may_name(self, name: str) -> bool:
        """Whether it is bound to nothing, or to this queue or service."""
        return not self.bound or _compiled(self.patterns).fullmatch(name) is not None

    def may_name_in(self, virtual_host: str, name: str) -> bool:
        """Whether it is bound to nothing, or to this message queue or exchange of a virtual host.

        A pattern without a slash means names in the virtual host "/". In another one, `HOST/NAME`,
        the first slash separates two patterns: one of virtual hosts other than "/", and one of
        the names there. With nothing before the slash the second one means names in "/". Neither
        ever matches beyond its own part, whatever characters a name holds.
        """
        if not self.bound:
            return True
        default = virtual_host in ("", _DEFAULT_VIRTUAL_HOST)
        for hosts, names in _by_virtual_host(self.patterns):
            inside = default if hosts is None else not default and hosts.fullmatch(virtual_host)
            if inside and names.fullmatch(name):
                return True
        return False


_caller: ContextVar[Caller | None] = ContextVar("quorate_caller", default=None)


def current_caller() -> Caller | None:
    """Whose call this task answers; None where authentication is off."""
    return _caller.get()


def set_caller(caller: Caller) -> None:
    """For the rest of this task, and tasks made by it."""
    _caller.set(caller)


def check_name(name: object) -> str:
    """A caller's name. Raises ValueError."""
    if not isinstance(name, str) or not _name.fullmatch(name):
        raise ValueError(f"name: {name!r} is not 1 to 128 letters, digits and ._@|:/+-")
    return name


def check_patterns(patterns: object) -> tuple[str, ...]:
    """Patterns of names. Raises ValueError that names the limit."""
    if not isinstance(patterns, list | tuple) or not 0 < len(patterns) <= MOST_PATTERNS:
        raise ValueError(f"queues: must be a list of 1 to {MOST_PATTERNS} patterns")
    for pattern in patterns:
        if not isinstance(pattern, str) or not _pattern.fullmatch(pattern):
            raise ValueError(
                f"queues: {pattern!r} is not a pattern: "
                f"1 to {MOST_PATTERN} letters, digits and ._/-*?"
            )
    return tuple(patterns)


@lru_cache(maxsize=1024)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # `translate` makes expressions that do not backtrack; brackets are not among the characters.
    return re.compile("|".join(map(translate, patterns)))


@lru_cache(maxsize=1024)
def _by_virtual_host(
    patterns: tuple[str, ...],
) -> tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...]:
    """Of each pattern: the virtual hosts, None for "/", and the names in them."""
    found = []
    for pattern in patterns:
        host, slash, name = pattern.partition("/")
        if not slash:
            host, name = "", pattern
        hosts = re.compile(translate(host)) if host else None
        found.append((hosts, re.compile(translate(name))))
    return tuple(found)


@lru_cache(maxsize=1024)
def from_common_name(common_name: str) -> Caller | None:
    """The caller behind a verified certificate; None when its subject is not `<role>:<name>`."""
    role, colon, name = common_name.partition(":")
    if not colon or role not in list(Role) or not _name.fullmatch(name):
        return None
    return Caller(name, Role(role), How.CERTIFICATE)


def encode(caller: Caller) -> str:
    """A caller as metadata: printable ASCII."""
    return json.dumps(
        {
            "name": caller.name,
            "role": caller.role,
            "how": caller.how,
            "queues": caller.patterns,
            "expires": caller.expires if isfinite(caller.expires) else None,
        },
        separators=(",", ":"),
    )


def decode(text: str) -> Caller:
    """Undoes `encode`. Raises ValueError."""
    if len(text) > _MOST_PASSED_ON:
        raise ValueError(f"{PASSED_ON}: is longer than {_MOST_PASSED_ON} characters")
    try:
        said = json.loads(text)
        expires = said["expires"]
        return Caller(
            check_name(said["name"]),
            Role(said["role"]),
            How(said["how"]),
            check_patterns(said["queues"]),
            inf if expires is None else float(expires),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{PASSED_ON}: is not a caller") from error
