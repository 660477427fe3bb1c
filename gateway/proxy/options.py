"""The proxy's own settings: those of a gateway, not of a service. All times are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.http.hosts import Names
from quorate.security.same_user import SameUser


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """How one gateway's proxy behaves towards clients and instances.

    Attributes:
        root_path: path under which the gateway is shown, such as `/quorate`; empty for none.
        trust_forwarded: whether to believe clients' X-Forwarded-*: only with a proxy in front that
            every client must come through.
        labels: the gateway's own, for a policy's `prefer_label`.
        owner: whose connections are served, all of them, not those to services alone; None: all.
        hosts: names of the gateway itself; see gateway.http.hosts.
        domain: below which services have hosts of their own, beside `localhost`; empty for none.
        paths: whether services are also served at `/services/`, on the gateway's own origin.
        connections: number beyond which any request gets 503; None: no limit.
        connect_timeout: until an instance has accepted a connection.
        head_timeout: for a request's head, from its first byte; a new connection's first byte.
        read_timeout: patience with a request's body; see `limits.Patience`.
        write_timeout: until a client that does not read is dropped.
        client_idle: a client's connection without a request.
        answer_idle: between two parts of an answer.
        tunnel_idle: an upgraded connection without a byte in either direction.
        half_closed: an answer's silence, once its client has ended its side of the connection:
            whether it still reads is only known when something is written.
        idle_links: idle connections kept to each instance.
        link_idle: after which an idle connection to an instance is closed; less than what servers
            usually keep (5 s), so that they do not close it while a request is on its way.
        link_idle_unsafe: the same for requests that are never sent twice.
        link_age: after which a connection is not used again.
    """

    root_path: str = ""
    trust_forwarded: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    hosts: Names = None
    owner: SameUser | None = None
    domain: str = ""
    paths: bool = False
    connections: int | None = None
    connect_timeout: float = 1.0
    head_timeout: float = 10.0
    read_timeout: float = 30.0
    write_timeout: float = 60.0
    client_idle: float = 60.0
    answer_idle: float = 300.0
    tunnel_idle: float = 3_600.0
    half_closed: float = 30.0
    idle_links: int = 128
    link_idle: float = 4.0
    link_idle_unsafe: float = 1.0
    link_age: float = 3_600.0
