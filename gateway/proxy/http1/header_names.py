"""The headers that the proxy itself reads, drops or keeps apart; all others pass as they came.

Names of `X-Forwarded-*` headers are listed in every spelling that a CGI-style server would take for
them (`X_Forwarded_For`).
"""

from __future__ import annotations

from itertools import product
from typing import Final


def _spellings(name: bytes) -> list[bytes]:
    parts = name.split(b"-")
    return [
        b"".join(x for pair in zip(parts, (*seps, b""), strict=True) for x in pair)
        for seps in product((b"-", b"_"), repeat=len(parts) - 1)
    ]


_FORWARDED: Final = (
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-real-ip",
    b"forwarded",
)
# Lower-case name of a request's header -> what it is here; any other is passed on untouched.
REQUEST: Final[dict[bytes, bytes]] = {
    **{spelled: name for name in _FORWARDED for spelled in _spellings(name)},
    **{
        name: name
        for name in (
            b"service-worker",
            b"host",
            b"content-length",
            b"transfer-encoding",
            b"connection",
            b"upgrade",
            b"expect",
            b"x-request-id",
            b"cdn-loop",
        )
    },
    **dict.fromkeys(
        (
            b"keep-alive",
            b"proxy-connection",
            b"proxy-authorization",
            b"te",
            b"trailer",
            b"http2-settings",
        ),
        b"drop",
    ),
    # Read as the real ones by servers that turn names into environment variables.
    b"content_length": b"drop",
    b"transfer_encoding": b"drop",
}
# What an answer says to the browser about its whole origin, or about the paths beside it, and not
# about itself: not passed on from a service that shares an origin with others.
ORIGIN_WIDE: Final = frozenset(
    (
        b"service-worker-allowed",
        b"clear-site-data",
        b"alt-svc",
        b"strict-transport-security",
        b"public-key-pins",
        b"public-key-pins-report-only",
        b"expect-ct",
        b"nel",
        b"report-to",
        b"reporting-endpoints",
        b"origin-agent-cluster",
        b"accept-ch",
        b"critical-ch",
        b"set-login",
        b"sec-session-registration",
        b"secure-session-registration",
        b"use-as-dictionary",
        b"activate-storage-access",
        b"shared-storage-write",
        b"attribution-reporting-register-source",
        b"attribution-reporting-register-trigger",
    )
)
RESPONSE: Final[dict[bytes, bytes]] = {
    **dict.fromkeys(ORIGIN_WIDE, b"origin"),
    **{name: name for name in (b"content-length", b"transfer-encoding", b"connection", b"upgrade")},
    **dict.fromkeys(
        (b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer"), b"drop"
    ),
}
