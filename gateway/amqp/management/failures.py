"""What is wrong with a request, as RabbitMQ's API says it: `{"error": ..., "reason": ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc
from starlette.responses import Response

from gateway.http.jsonwrite import dump
from gateway.http.problems import HTTP_STATUS
from quorate.runtime.errors import QuorateError

JSON: Final = "application/json"
_REALM: Final = {"WWW-Authenticate": 'Basic realm="Quorate"'}
_ERRORS: Final[Mapping[int, str]] = {
    401: "not_authorized",
    403: "access_refused",
    404: "Object Not Found",
    429: "too_many_requests",
}


class Failure(Exception):
    """A request that is not answered with what it asked for.

    Attributes:
        status: of HTTP; `error`: a word for programs; `reason`: a sentence.
        more: other fields of the answer.
    """

    def __init__(
        self, status: int, error: str, reason: str, more: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(reason)
        self.status, self.error, self.reason = status, error, reason
        self.more = more or {}


def bad_request(reason: str) -> Failure:
    """400."""
    return Failure(400, "bad_request", reason)


def not_found(reason: str = "Not Found") -> Failure:
    """404."""
    return Failure(404, _ERRORS[404], reason)


def not_authorized(reason: str) -> Failure:
    """401."""
    return Failure(401, _ERRORS[401], reason)


def of_cluster(error: QuorateError) -> Failure:
    """What the cluster answered."""
    status = HTTP_STATUS.get(error.code, 500)
    if error.code is grpc.StatusCode.UNAUTHENTICATED:
        return not_authorized("Login failed")
    return Failure(status, _ERRORS.get(status, error.reason.lower()), error.message)


def response(failure: Failure) -> Response:
    """The answer."""
    return answer(
        {"error": failure.error, "reason": failure.reason, **failure.more},
        failure.status,
        _REALM if failure.status == 401 else {},
    )


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that nobody keeps."""
    return Response(
        dump(value),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type=JSON,
    )
