"""etcd's own users and roles for a cluster: which process may touch which keys.

A user is called as the common name of its certificate (`scheduler:s1`), by which etcd knows it
(`--client-cert-auth`); none has a password. What etcd then refuses, nobody gets around:

| process | may |
|---|---|
| `scheduler:<name>` | read and write all of the cluster's keys |
| `node:<name>` | write `nodes/<name>` and below `services/`; read `election/`, `generation` too |
| `node:<start>*` | the same for every node whose name begins so, but it reads no registration |
| `operator:<name>` | everything, as etcd's `root` role has it |
| anybody else, also who has a certificate of the right CA | nothing |

A user for many nodes (`node:agent-*`) is for pods, whose names nobody knows in advance. It writes
the registrations below `nodes/agent-` and reads none, also not its own.

A gateway, and programs that submit work, need nothing of etcd. Granting is idempotent; nothing that
was granted by others is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aetcd import rpc

from quorate.etcd.api import EtcdError, prefix_end
from quorate.etcd.client import EtcdClient

# Roles of certificates that may do something in etcd.
ROLES: Final = ("scheduler", "node", "operator")
# etcd demands a user and a role of this name before authentication can be enabled.
_ROOT: Final = "root"
_THERE: Final = ("already exists", "is already granted")
_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Right:
    """What a role may do with a key, or with all from it up to `end`."""

    key: bytes
    end: bytes = b""
    write: bool = False
    read: bool = True


def below(prefix: bytes, *, write: bool = False, read: bool = True) -> Right:
    """The right to all keys that begin with `prefix`."""
    return Right(prefix, prefix_end(prefix), write, read)


def rights_of(subject: str, prefix: bytes) -> Sequence[Right] | None:
    """What a process may do in a cluster; None for one that needs nothing of etcd.

    Args:
        subject: `<role>:<name>`, as in its certificate; `node:<start>*` for many nodes.
        prefix: of the cluster's keys.
    """
    role, _, name = subject.partition(":")
    if role == "scheduler":
        return (below(prefix, write=True),)
    if role == "node":
        own = prefix + f"nodes/{name.removesuffix('*')}".encode()
        many = name.endswith("*")
        return (
            below(own, write=True, read=False) if many else Right(own, write=True),
            below(prefix + b"services/", write=True),
            below(prefix + b"election/"),
            Right(prefix + b"generation"),
        )
    return None


async def grant(etcd: EtcdClient, subjects: Sequence[str], prefix: bytes) -> None:
    """Have a user for each of `subjects`, with its rights, and etcd ask who calls.

    Until it asks, anybody whom etcd's TLS lets in may call this; afterwards an `operator:`.
    Raises EtcdError.
    """
    granter = _Granter(etcd)
    await granter.user(_ROOT, _ROOT)
    for subject in subjects:
        if subject.startswith("operator:"):
            await granter.user(subject, _ROOT)
            continue
        rights = rights_of(subject, prefix)
        if rights is not None:
            # The cluster's name is in the role: several clusters may share one etcd.
            role = f"{prefix.decode().strip('/')}/{subject}"
            await granter.role(role, rights)
            await granter.user(subject, role)
    await granter.ask("AuthEnable", rpc.AuthEnableRequest())


def _kind(permission: Any, right: Right) -> int:
    """etcd's kind of permission."""
    if not right.write:
        return int(permission.READ)
    return int(permission.READWRITE if right.read else permission.WRITE)


class _Granter:
    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd

    async def role(self, name: str, rights: Sequence[Right]) -> None:
        await self.ask("RoleAdd", rpc.AuthRoleAddRequest(name=name))
        for right in rights:
            request = rpc.AuthRoleGrantPermissionRequest(name=name)
            request.perm.key, request.perm.range_end = right.key, right.end
            request.perm.permType = _kind(request.perm, right)
            await self.ask("RoleGrantPermission", request)

    async def user(self, name: str, role: str) -> None:
        add = rpc.AuthUserAddRequest(name=name)
        add.options.no_password = True
        if role == _ROOT:
            await self.ask("RoleAdd", rpc.AuthRoleAddRequest(name=_ROOT))
        await self.ask("UserAdd", add)
        await self.ask("UserGrantRole", rpc.AuthUserGrantRoleRequest(user=name, role=role))

    async def ask(self, method: str, request: Any) -> None:
        try:
            await self._etcd.administer(method, request, timeout=_TIMEOUT)
        except EtcdError as error:
            if not any(text in str(error) for text in _THERE):
                raise
