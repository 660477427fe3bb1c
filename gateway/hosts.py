"""Which Host headers are this gateway's: the defence against DNS rebinding.

A page of `evil.example` may have its name resolved anew to 127.0.0.1; the browser then takes this
gateway for that page's own server and shows the page every answer, with no sign of another origin.
What it cannot hide is the name itself, in `Host`. Addresses are never resolved, and a name without
a dot, or below `localhost`, is nobody's to register; any other is only ours when it was configured.
A gateway that listens beyond loopback is known by names that we do not know: there, only configured
ones are checked.
"""

from __future__ import annotations

import ipaddress
from typing import Final

import grpc

from gateway.rest.problems import HttpFault, printable

Names = frozenset[str] | None
"""Lower-case names beside those of this machine; None: any Host will do."""

_ANY: Final = "*"


def names_of(hosts: str, *, loopback: bool) -> Names:
    """What the settings say.

    Args:
        hosts: names, comma-separated; `*` for any.
        loopback: whether only this machine can reach the gateway.
    """
    names = frozenset(name.strip().lower() for name in hosts.split(",") if name.strip())
    return None if _ANY in names or not (names or loopback) else names


def refusal(host: str, names: Names) -> HttpFault | None:
    """Why a request with this Host is refused; None when it is not."""
    if names is None or not host:
        # Browsers always send it.
        return None
    name = _name(host.strip().lower())
    local = "." not in name or name.endswith(".localhost") or _is_address(name)
    if local or name in names:
        return None
    return HttpFault(
        421,
        grpc.StatusCode.PERMISSION_DENIED,
        "FOREIGN_HOST",
        f"{printable(name)!r} is not a name of this gateway; see --hosts",
    )


def is_own(host: bytes, names: Names) -> bool:
    """Whether the gateway itself is known by this (lower-case) name, whatever services want it."""
    name = host.decode("latin-1")
    address = name.removeprefix("[").removesuffix("]")
    return name == "localhost" or name in (names or ()) or _is_address(address)


def _name(host: str) -> str:
    """Without a port, and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
