"""Does etcd ask who calls, and have the nodes' users no more rights than they need."""

from __future__ import annotations

from quorate.doctor.finding import Finding, failure, note, ok, warning
from quorate.etcd.api import EtcdError, EtcdUnauthenticated
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.rights import asks_who_calls, excesses, rights_of_nodes
from quorate.runtime.sizes import plural

_REVOKE = "take the right away: `etcdctl role revoke-permission ROLE KEY`"


async def check_auth(client: EtcdClient, *, local: bool) -> list[Finding]:
    """Findings about etcd's users and roles; none for a local etcd that only its owner reaches."""
    try:
        if not await asks_who_calls(client):
            return [] if local else [_open()]
        nodes = await rights_of_nodes(client)
    except EtcdUnauthenticated:
        # Only an operator may list users; that etcd refused is what was to be found out.
        return [ok("etcd", "asks who calls")]
    except EtcdError as error:
        return [note("etcd", f"its users cannot be read: {error}")]
    found = [one for user, rights in nodes.items() for one in excesses(user, rights)]
    if found:
        return [failure("etcd", f"{one}: more than a node needs", _REVOKE) for one in found]
    users = plural(len(nodes), "user")
    return [ok("etcd", f"asks who calls; {users} of nodes may read no task")]


def _open() -> Finding:
    return warning(
        "etcd",
        "does not ask who calls: whoever reaches its port may change everything",
        "give each process a certificate and run `quorate etcd init-auth`",
    )
