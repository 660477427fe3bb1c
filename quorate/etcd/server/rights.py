"""What etcd's users may do, as etcd itself says, beside what they should: for `quorate doctor`.

Only an `operator:` may list users. Whether etcd asks who calls can be found out by anybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aetcd import rpc

from quorate.etcd.api import EtcdRefused, EtcdUnauthenticated
from quorate.etcd.client import EtcdClient
from quorate.etcd.failures import AUTH_OFF_TEXT
from quorate.etcd.server.users import Right, rights_of

_TIMEOUT: Final = 5.0
_CLUSTER: Final = re.compile(rb"/quorate/[^/]+/")
# A range up to this key has no end, as etcd writes it.
_EVERYTHING: Final = b"\0"


@dataclass(frozen=True, slots=True)
class Excess:
    """A user of a node that may do more than its node needs."""

    user: str
    right: Right

    def __str__(self) -> str:
        key = self.right.key.decode(errors="backslashreplace")
        verb = "write" if self.right.write else "read"
        return f'user "{self.user}" may {verb} {key}{"..." if self.right.end else ""}'


async def asks_who_calls(etcd: EtcdClient) -> bool:
    """Whether authentication is on. Raises EtcdError when etcd does not answer."""
    request = rpc.AuthenticateRequest(name="quorate-doctor", password="-")
    try:
        await etcd.administer("Authenticate", request, timeout=_TIMEOUT)
    except EtcdUnauthenticated:
        return True
    except EtcdRefused as error:
        # "invalid user ID" of some versions is a refusal, too.
        return AUTH_OFF_TEXT not in str(error)
    return True


async def rights_of_nodes(etcd: EtcdClient) -> dict[str, Sequence[Right]]:
    """Users named `node:...`, each with all that its roles permit.

    Raises EtcdUnauthenticated for a caller that is no operator.
    """
    users = await etcd.administer("UserList", rpc.AuthUserListRequest(), timeout=_TIMEOUT)
    found: dict[str, Sequence[Right]] = {}
    for user in users.users:
        if not user.startswith("node:"):
            continue
        roles = await etcd.administer("UserGet", rpc.AuthUserGetRequest(name=user))
        rights: list[Right] = []
        for role in roles.roles:
            granted = await etcd.administer("RoleGet", rpc.AuthRoleGetRequest(role=role))
            rights += map(_right, granted.perm)
            if role == "root":
                rights.append(Right(b"/", _EVERYTHING, write=True))
        found[user] = rights
    return found


def excesses(user: str, rights: Sequence[Right]) -> list[Excess]:
    """What of `rights` a node with this user does not need, each cluster's keys apart."""
    found = []
    for right in rights:
        cluster = _CLUSTER.match(right.key)
        needed = rights_of(user, cluster[0]) if cluster else None
        if not any(_covers(one, right) for one in needed or ()):
            found.append(Excess(user, right))
    return found


def _covers(wide: Right, narrow: Right) -> bool:
    if (narrow.read and not wide.read) or (narrow.write and not wide.write):
        return False
    if not wide.end:
        return narrow.key == wide.key and not narrow.end
    if narrow.end == _EVERYTHING:
        return False
    last = narrow.end or narrow.key + b"\0"
    return wide.key <= narrow.key and last <= wide.end


def _right(permission: Any) -> Right:
    return Right(
        permission.key,
        permission.range_end,
        write=permission.permType != permission.READ,
        read=permission.permType != permission.WRITE,
    )
