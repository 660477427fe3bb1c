"""Which names are this gateway's own: the defence against DNS rebinding, and against services that
claim them.

A page of `evil.example` may have its name resolved anew to 127.0.0.1; the browser then takes this
gateway for that page's own server and shows the page every answer, with no sign of another origin.
What it cannot hide is the name itself, in `Host`. Addresses are never resolved, and `localhost` is
nobody's to register; any other name, with or without a dot, is only ours when it was configured or
is this machine's. A gateway that listens beyond loopback is known by names that we do not know:
there, only configured ones are checked.

Everything here sees a name in one form: lower case, without port, brackets and the root's dot.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

import grpc

from gateway.http.problems import HttpError, printable

Names = frozenset[str] | None
"""Names beside `localhost` and addresses; None: any Host will do, since nobody said which."""

LOCAL: Final = "localhost"
_ANY: Final = "*"
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")
# What ends in a number is an IPv4 address to a browser, however it is written (WHATWG URL 3.5).
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


def names_of(hosts: str, *, loopback: bool) -> Names:
    """What the settings say.

    Args:
        hosts: names, comma-separated; `*` for any.
        loopback: whether only this machine can reach the gateway.
    """
    names = frozenset(normal(name.strip()) for name in hosts.split(",") if name.strip())
    if _ANY in names or not (names or loopback):
        return None
    return names | {normal(socket.gethostname())}


def check_names(hosts: str) -> None:
    """Raise ValueError for what no Host header can match: a service could claim that name.

    Args:
        hosts: as `names_of` takes it.
    """
    for given in filter(None, map(str.strip, hosts.split(","))):
        name, _, port = given.lower().partition(":")
        if given == _ANY or is_address(given.strip("[]")):
            continue
        if not _NAME.fullmatch(name.removesuffix(".")) or not (port.isdecimal() or not port):
            raise ValueError(
                f"{given!r} is not a name such as q.example.com, an address, or `*` for any; a "
                "name in other letters is written as browsers send it (xn--...)"
            )


def normal(host: str) -> str:
    """The name in a Host header or an authority."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def rejection(host: str, names: Names) -> HttpError | None:
    """Why a request with this Host is refused; None when it is not."""
    if names is None or not host:
        # Browsers always send it.
        return None
    name = normal(host)
    if is_own(name, names) or name.endswith(f".{LOCAL}"):
        return None
    return HttpError(
        421,
        grpc.StatusCode.PERMISSION_DENIED,
        "FOREIGN_HOST",
        f"{printable(name)!r} is not a name of this gateway; see --hosts",
    )


def is_own(name: str, names: Names) -> bool:
    """Whether the gateway itself is known by a name in normal form, whatever services claim."""
    return name == LOCAL or name in (names or ()) or is_address(name)


def is_address(name: str) -> bool:
    """Whether a name in normal form is an address to anybody."""
    if _NUMBER.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
