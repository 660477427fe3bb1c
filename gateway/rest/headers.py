"""Request headers that mean something to every operation, read strictly.

    X-Request-Timeout   seconds until the caller gives up, passed on as the gRPC deadline
    Grpc-Timeout        the same in gRPC's form (`500m`, `10S`), as grpc-gateway has it
    Idempotency-Key     the request's `request_id`
    Last-Event-ID       a stream's `resume_token`, sent by browsers that reconnect
    If-Match, If-None-Match   entity tags (RFC 9110 section 13)

Every fault is a QuorateError that names the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

from quorate.runtime.errors import invalid

MALFORMED: Final = "MALFORMED_HEADER"
TIMEOUT: Final = "X-Request-Timeout"
GRPC_TIMEOUT: Final = "Grpc-Timeout"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IF_MATCH: Final = "If-Match"
IF_NONE_MATCH: Final = "If-None-Match"

LAST_EVENT_ID: Final = "Last-Event-ID"

TOKEN: Final = r"[!-~]{0,1024}"
KEY: Final = r"[!-~]{1,128}"
TAG: Final = r'(W/)?"[!#-~]*"'
TAGS: Final = rf"\*|{TAG}(\s*,\s*{TAG})*"
_key, _tag, _tags = re.compile(KEY), re.compile(TAG), re.compile(TAGS)
_token = re.compile(TOKEN)
_seconds = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_grpc_timeout = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def _one(headers: Headers, name: str) -> str | None:
    """The header's only value; None when it is absent."""
    values = headers.getlist(name)
    if not values:
        return None
    if len(values) > 1:
        raise invalid(name, "is set twice", reason=MALFORMED)
    return values[0].strip()


def timeout(headers: Headers) -> float | None:
    """Seconds that the caller allows; None when it does not say. Not capped."""
    plain, grpc_form = _one(headers, TIMEOUT), _one(headers, GRPC_TIMEOUT)
    if plain is not None and grpc_form is not None:
        raise invalid(
            TIMEOUT, f"is set together with {GRPC_TIMEOUT}; set only one of them", reason=MALFORMED
        )
    if grpc_form is not None:
        found = _grpc_timeout.fullmatch(grpc_form)
        if found is None or int(found[1]) == 0:
            raise invalid(
                GRPC_TIMEOUT, "must be a number and a unit such as 500m or 10S", reason=MALFORMED
            )
        return int(found[1]) * _UNITS[found[2]]
    if plain is None:
        return None
    if len(plain) > 40 or not _seconds.fullmatch(plain) or float(plain) <= 0:
        raise invalid(TIMEOUT, "must be seconds above 0, such as 2.5", reason=MALFORMED)
    return float(plain)


def idempotency_key(headers: Headers) -> str:
    """The key; empty when there is none."""
    key = _one(headers, IDEMPOTENCY_KEY)
    if key is None:
        return ""
    if not _key.fullmatch(key):
        raise invalid(
            IDEMPOTENCY_KEY,
            "must be 1 to 128 visible ASCII characters",
            reason=MALFORMED,
            limit=128,
        )
    return key


def last_event_id(headers: Headers) -> str:
    """Where a reconnecting browser's stream goes on; empty when it does not say."""
    token = _one(headers, LAST_EVENT_ID) or ""
    if not _token.fullmatch(token):
        raise invalid(
            LAST_EVENT_ID, "must be at most 1,024 visible ASCII characters", reason=MALFORMED
        )
    return token


@dataclass(frozen=True, slots=True)
class Tags:
    """The entity tags of a condition."""

    any: bool
    strong: frozenset[str]
    weak: frozenset[str]

    def matches(self, tag: str, *, weakly: bool) -> bool:
        """Whether the resource's tag (opaque part, without quotes) is among them."""
        return self.any or tag in self.strong or (weakly and tag in self.weak)

    @property
    def unmoved(self) -> Tags:
        """The same without the part for figures that move by themselves: for `If-Match`."""
        strong, weak = (frozenset(map(unmoved, tags)) for tags in (self.strong, self.weak))
        return Tags(self.any, strong, weak)


def tags(headers: Headers, name: str) -> Tags | None:
    """The tags of If-Match or If-None-Match; None without the header."""
    values = headers.getlist(name)
    if not values:
        return None
    text = ", ".join(values).strip()
    if not _tags.fullmatch(text):
        raise invalid(name, 'must be * or entity tags such as "abc"', reason=MALFORMED)
    strong: set[str] = set()
    weak: set[str] = set()
    for found in _tag.finditer(text):
        one = found[0]
        opaque = one[one.index('"') + 1 : -1].removesuffix(GZIPPED)
        (weak if one.startswith("W/") else strong).add(opaque)
    return Tags(text == "*", frozenset(strong), frozenset(weak))


# A compressed representation is another one, so its tag is too (RFC 9110 section 8.8.3.3).
GZIPPED: Final = "-gzip"
# Between the part of a tag that callers change and that of figures which move by themselves.
LIVE: Final = ";"


def unmoved(tag: str) -> str:
    """The part of a tag that callers change."""
    return tag.partition(LIVE)[0]


def accepts(headers: Headers, name: str, value: str) -> float:
    """The weight (0 to 1) that an Accept or Accept-Encoding header gives to `value`."""
    exact, group, rest = None, None, None
    for part in headers.get(name, "").split(","):
        what, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    weight = 0.0
        if what == value:
            exact = weight
        elif what == f"{value.partition('/')[0]}/*":
            group = weight
        elif what in ("*", "*/*"):
            rest = weight
    return next((one for one in (exact, group, rest) if one is not None), 0.0)
