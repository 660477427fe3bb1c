"""Reading a request's body: bounded in bytes each, in bytes together, and in time.

A body must keep coming: a client has `timeout` seconds of patience, which pass as time does and
come back at `gateway.http.patience.SLOWEST` bytes a second. So there may be a pause, and a
slow line is slow, but one byte now and then does not keep a connection.

`BodyBudget` is the memory that bodies of all requests together may take; it belongs to the process.
A body beyond a bound is refused before it is read further, and its connection closed, since nobody
is going to read the rest.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

import grpc
from starlette.datastructures import Headers
from starlette.types import Receive

from gateway.http.patience import SLOWEST, Patience
from gateway.http.problems import HttpError

_CLOSE: Final = {"Connection": "close"}


class ClientGone(Exception):
    """The connection was closed; there is nobody to answer."""


class BodyBudget:
    """Bytes of bodies held at the same time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    def take(self, size: int) -> None:
        """Hold more. Raises HttpFault 503 beyond the limit."""
        if self._held + size > self._limit:
            raise HttpError(
                503,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "GATEWAY_BUSY",
                "the gateway holds as many request bodies as it may; try again",
                metadata={"limit": str(self._limit)},
                headers=_CLOSE,
            )
        self._held += size

    def give_back(self, size: int) -> None:
        """Hold less."""
        self._held -= size


class Body:
    """One request's body, as a context: its bytes are given back to the budget at the end.

    Args:
        limit: bytes.
        timeout: seconds of patience; see the module.
    """

    def __init__(self, budget: BodyBudget, *, limit: int, timeout: float) -> None:
        self._budget = budget
        self._limit = limit
        self._timeout = timeout
        self._held = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._budget.give_back(self._held)

    async def read(self, headers: Headers, receive: Receive) -> bytes:
        """All of it. Raises HttpFault 400, 408, 413, 415 or 503, or ClientGone."""
        length = headers.get("content-length", "")
        if length and (not length.isascii() or not length.isdigit()):
            raise _bad_length()
        if length and int(length[:20]) > self._limit:
            raise self._too_large()
        parts: list[bytes] = []
        more = True
        loop = asyncio.get_running_loop()
        patience = Patience(self._timeout, loop.time())
        while more:
            try:
                async with asyncio.timeout_at(patience.ends):
                    message = await receive()
            except TimeoutError:
                raise HttpError(
                    408,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    "REQUEST_TIMEOUT",
                    f"the request came too slowly: a pause of {self._timeout:g} s, or less than "
                    f"{SLOWEST} bytes a second for so long",
                    headers=_CLOSE,
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            if part:
                if self._held + len(part) > self._limit:
                    raise self._too_large()
                self._budget.take(len(part))
                self._held += len(part)
                patience.came(len(part), loop.time())
                parts.append(part)
            more = message.get("more_body", False)
        if parts:
            _check_type(headers)
        return b"".join(parts)

    def _too_large(self) -> HttpError:
        return HttpError(
            413,
            grpc.StatusCode.INVALID_ARGUMENT,
            "BODY_TOO_LARGE",
            f"the body is larger than {self._limit} bytes",
            metadata={"limit": str(self._limit)},
            headers=_CLOSE,
        )


def _bad_length() -> HttpError:
    return HttpError(
        400,
        grpc.StatusCode.INVALID_ARGUMENT,
        "MALFORMED_HEADER",
        "Content-Length: must be a number of bytes",
        headers=_CLOSE,
    )


def _check_type(headers: Headers) -> None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise _unsupported(f"Content-Encoding {encoding[:60]!r} is not supported")
    kind, *parameters = (
        part.strip().lower() for part in headers.get("content-type", "").split(";")
    )
    if kind and kind != "application/json":
        raise _unsupported(f"Content-Type must be application/json, not {kind[:60]!r}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise _unsupported(f"charset must be utf-8, not {value[:60]!r}")


def _unsupported(message: str) -> HttpError:
    return HttpError(
        415,
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNSUPPORTED_MEDIA_TYPE",
        message,
        headers={"Accept": "application/json"},
    )
