"""The answers of the proxy itself: `application/problem+json` (RFC 9457).

The same members as the REST API's problems: canonical `code`, UPPER_SNAKE `reason`, `metadata`.
A `Rejection` is a value as well as an exception: parsers raise it, the exchange answers with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

_CODES: Final = {
    308: "FAILED_PRECONDITION",
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    414: "INVALID_ARGUMENT",
    417: "INVALID_ARGUMENT",
    421: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    505: "UNIMPLEMENTED",
    508: "FAILED_PRECONDITION",
}


class Rejection(Exception):
    """A request that gets no answer of an instance, and why.

    Args:
        status: the HTTP status; `code` follows from it.
        reason: UPPER_SNAKE, stable.
        detail: a sentence for people. Never holds bytes of the request that are not printable.
        metadata: names the limit, the service, the instance.
        headers: of the answer, such as Retry-After.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.metadata = dict(metadata or {})
        self.headers = dict(headers or {})


def method_refused(method: str) -> Rejection:
    """405, with what is allowed instead (RFC 9110 section 15.5.6)."""
    allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    return Rejection(
        405, "METHOD_NOT_ALLOWED", f"{method} is not served", headers={"allow": allowed}
    )


def malformed(detail: str, reason: str = "MALFORMED_HTTP") -> Rejection:
    """400."""
    return Rejection(400, reason, detail)


def answer(rejection: Rejection, *, request_id: str, close: bool, head_only: bool) -> bytes:
    """The whole HTTP/1.1 answer.

    Args:
        close: whether the connection ends with it.
        head_only: the request was HEAD.
    """
    body = json.dumps(
        {
            "type": f"urn:quorate:problem:{rejection.reason}",
            "title": rejection.reason.replace("_", " ").capitalize(),
            "status": rejection.status,
            "detail": rejection.detail,
            "instance": f"urn:quorate:request:{request_id}",
            "code": _CODES[rejection.status],
            "reason": rejection.reason,
            "domain": "quorate",
            "metadata": rejection.metadata,
            "violations": [],
        },
        separators=(",", ":"),
    ).encode()
    lines = [
        f"HTTP/1.1 {rejection.status} {HTTPStatus(rejection.status).phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
    ]
    lines += [f"{name}: {value}" for name, value in rejection.headers.items()]
    if close:
        lines.append("connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if head_only else head + body
