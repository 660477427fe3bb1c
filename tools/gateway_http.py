"""HTTP to the gateway of a cluster of `quorate up`, which may have TLS and ask for a token.

For the demo, the benchmarks and the tests; certificate and token are found as the SDK finds them.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from quorate.client.transport.discovery import LocalCluster
from quorate.security.tls.dialer import ClientTls


def token_of(local: LocalCluster) -> str:
    """Its admin's; empty when nobody is asked."""
    return Path(local.token_file).read_text().strip() if local.token_file else ""


def headers_of(local: LocalCluster) -> dict[str, str]:
    """Those that say who asks."""
    token = token_of(local)
    return {"Authorization": f"Bearer {token}"} if token else {}


def https_context(tls: ClientTls | None) -> ssl.SSLContext | None:
    """For HTTPS, with this certificate; None: plaintext."""
    if tls is None:
        return None
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def host_of(service: str, address: str) -> str:
    """The Host header by which a gateway at `host:port` gives a request to a service."""
    return f"{service}.localhost:{address.rstrip('/').rpartition(':')[2]}"


def ask(
    local: LocalCluster,
    path: str,
    body: Any = None,
    *,
    method: str = "",
    timeout: float = 60.0,
    service: str = "",
) -> Any:
    """The open answer, which the caller closes; `body` is sent as JSON.

    With `service`, `path` is the service's. Its host is only named, since not every system's
    resolver knows that names below `localhost` are this machine.

    Raises HTTPError for 400 and above, OSError when there is no answer.
    """
    # A service is not the cluster: it gets no token.
    who = {} if service else headers_of(local)
    host = {"Host": host_of(service, local.dashboard)} if service else {}
    request = urllib.request.Request(
        local.dashboard + path,
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **who, **host},
        method=method or ("GET" if body is None else "POST"),
    )
    return urllib.request.urlopen(request, timeout=timeout, context=https_context(local.tls))


def ask_json(local: LocalCluster, path: str, body: Any = None, *, method: str = "") -> Any:
    """As `ask`; the JSON that was answered."""
    with ask(local, path, body, method=method) as answer:
        return json.load(answer)
