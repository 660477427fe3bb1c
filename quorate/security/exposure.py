"""Who can reach a process, and the rule that follows: no stranger finds an open door.

A server on an address that other machines can reach has TLS and knows its callers, or the operator
said `--insecure` in so many words. One rule for scheduler, node agent and gateway.
"""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host` (a name or an address, IPv6 with brackets or not).

    A name counts as loopback only when it is `localhost`: others are as their resolver says.
    """
    bare = host.removeprefix("[").removesuffix("]")
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether a Host header (with a port or not) is a literal address or `localhost`.

    Such a name is resolved by nobody's DNS. An empty one is sent by no browser.
    """
    bare = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if not bare or bare.lower().removesuffix(".") == "localhost":
        return True
    try:
        ipaddress.ip_address(bare.removeprefix("["))
    except ValueError:
        return False
    return True


def refuse_exposed(host: str, *, tls: bool, auth: bool, insecure: bool) -> None:
    """Raise ValueError (one sentence) when `listen` on `host` would be open to strangers.

    Args:
        host: where the process listens.
        tls: whether it speaks TLS.
        auth: whether it knows its callers (by certificate, token or otherwise).
        insecure: the operator's `--insecure`.
    """
    if insecure or is_loopback(host) or (tls and auth):
        return
    missing = {
        (False, False): "TLS (--tls-cert-file) and authentication",
        (False, True): "TLS (--tls-cert-file)",
        (True, False): "authentication",
    }[tls, auth]
    raise ValueError(f"listen: {host} is not loopback; set {missing}, or --insecure")
