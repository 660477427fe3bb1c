"""Options of gRPC with which one side of a connection notices that the other side is gone.

A machine that loses power, or its network, closes no connection. A side with keepalive pings the
other side when nothing came for `time` seconds, and ends the connection, with all its calls, when
nothing comes for `timeout` more seconds. Without it a server waits for two hours, and a client for
ever (https://github.com/grpc/grpc/blob/master/doc/keepalive.md).

| who pings whom | time, timeout |
|---|---|
| a scheduler all its callers | `--keepalive`, `--keepalive-timeout` |
| a node agent the leader | `TIME`, `TIMEOUT` |
| SDK and CLI a scheduler, while a call is under way | `TIME`, `TIMEOUT` |
| a gateway or a standby a scheduler; the leader a node agent | `BETWEEN_PROCESSES` |
| a client of etcd a member, while a call is under way | `BETWEEN_PROCESSES` |
"""

from __future__ import annotations

from typing import Any, Final

Option = tuple[str, Any]

TIME: Final = 20.0
TIMEOUT: Final = 10.0
# Time and timeout between processes of the cluster.
BETWEEN_PROCESSES: Final = 10.0, 5.0
# Seconds between pings of a client that a server allows; it ends connections on which more come.
LEAST_TIME: Final = 5.0


def server_keepalive(time: float = TIME, timeout: float = TIMEOUT) -> tuple[Option, ...]:
    """Options of a server that pings its clients, also while they call nothing.

    Clients may ping it every `LEAST_TIME` seconds.
    """
    return (
        *_times(time, timeout),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", round(LEAST_TIME * 1e3)),
    )


def client_keepalive(time: float = TIME, timeout: float = TIMEOUT) -> tuple[Option, ...]:
    """Options of a channel that pings its server while a call is under way.

    Args:
        time: at least `LEAST_TIME`.
    """
    return (
        *_times(time, timeout),
        # By default a client stops after two pings until it sends data, and a watch sends none.
        ("grpc.http2.max_pings_without_data", 0),
    )


def _times(time: float, timeout: float) -> tuple[Option, ...]:
    return (
        ("grpc.keepalive_time_ms", round(time * 1e3)),
        ("grpc.keepalive_timeout_ms", round(timeout * 1e3)),
        # gRPC 1.85 never starts the timer of the keepalive (`writing.cc` asks whether it runs
        # already): what ends the connection is the timeout of any ping, a minute by default.
        ("grpc.http2.ping_timeout_ms", round(timeout * 1e3)),
    )
