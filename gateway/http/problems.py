"""Failures as `application/problem+json` (RFC 9457), with what google.rpc.ErrorInfo carries.

A canonical gRPC code becomes the HTTP status that google/rpc/code.proto names. Faults of HTTP alone
(no such route, too large a body) get the code that fits them best.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

import grpc
from starlette.responses import Response

from gateway.cluster.upstream_errors import UpstreamError
from gateway.http.jsonwrite import dump
from quorate.runtime.errors import DOMAIN, QuorateError

MEDIA_TYPE: Final = "application/problem+json"

C = grpc.StatusCode
HTTP_STATUS: Final[Mapping[grpc.StatusCode, int]] = {
    C.OK: 200,
    C.CANCELLED: 499,
    C.UNKNOWN: 500,
    C.INVALID_ARGUMENT: 400,
    C.DEADLINE_EXCEEDED: 504,
    C.NOT_FOUND: 404,
    C.ALREADY_EXISTS: 409,
    C.PERMISSION_DENIED: 403,
    C.UNAUTHENTICATED: 401,
    C.RESOURCE_EXHAUSTED: 429,
    C.FAILED_PRECONDITION: 400,
    C.ABORTED: 409,
    C.OUT_OF_RANGE: 400,
    C.UNIMPLEMENTED: 501,
    C.INTERNAL: 500,
    C.UNAVAILABLE: 503,
    C.DATA_LOSS: 500,
}
# Where repeating the request later may help: seconds.
_RETRY_AFTER: Final = {429: "1", 503: "1"}
_unprintable = re.compile(r"[\x00-\x1f\x7f]")


class HttpError(QuorateError):
    """A fault of the request as HTTP. `headers` go into the answer."""

    def __init__(
        self,
        status: int,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, reason, message, metadata=metadata)
        self.status = status
        self.headers = dict(headers or {})


def no_route(path: str) -> HttpError:
    """404 for a path that is not served."""
    return HttpError(
        404, C.UNIMPLEMENTED, "ROUTE_NOT_FOUND", f"nothing is served at {printable(path)}"
    )


def wrong_method(method: str, allowed: str) -> HttpError:
    """405 with Allow."""
    return HttpError(
        405,
        C.UNIMPLEMENTED,
        "METHOD_NOT_ALLOWED",
        f"{printable(method)} is not allowed here; {allowed} are",
        metadata={"allow": allowed},
        headers={"Allow": allowed},
    )


def printable(text: str) -> str:
    """A caller's text in a sentence: short, and on one line."""
    return _unprintable.sub("?", text[:200])


def problem(error: QuorateError) -> dict[str, Any]:
    """The problem details of an error."""
    status = error.status if isinstance(error, HttpError) else HTTP_STATUS[error.code]
    if isinstance(error, UpstreamError):
        domain, violations = error.domain, error.violations
    else:
        domain = DOMAIN
        violations = ((error.field, error.message),) if error.field else ()
    return {
        "type": f"urn:quorate:problem:{error.reason}",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "instance": f"urn:quorate:request:{secrets.token_hex(8)}",
        "code": error.code.name,
        "reason": error.reason,
        "domain": domain,
        "metadata": error.metadata,
        "violations": [{"field": field, "description": text} for field, text in violations],
    }


def problem_response(error: QuorateError) -> Response:
    """The answer to a request that failed."""
    body = problem(error)
    status = body["status"]
    headers = {"Cache-Control": "no-store"}
    if status in _RETRY_AFTER:
        delay = error.retry_delay
        headers["Retry-After"] = str(ceil(delay)) if delay else _RETRY_AFTER[status]
    if status == 401:
        # RFC 6750 section 3.
        missing = error.reason == "CREDENTIALS_MISSING"
        failure = "" if missing else ', error="invalid_token"'
        headers["WWW-Authenticate"] = f'Bearer realm="quorate"{failure}'
    if isinstance(error, HttpError):
        headers.update(error.headers)
    return Response(dump(body), status, headers, MEDIA_TYPE)


def internal() -> QuorateError:
    """The answer when the gateway has a bug; the log has the rest."""
    return QuorateError(
        C.INTERNAL,
        "INTERNAL",
        "the gateway failed on this request because of a bug; the gateway's log has the traceback",
    )
