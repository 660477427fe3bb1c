"""Typed errors for services whose handlers others wrote: health, reflection, channelz.

Their generated handlers let gRPC parse requests, which answers bytes that are no request with a
bare UNKNOWN. `typed` stands in for the server where such a service is registered: its handlers get
requests as bytes, which are parsed here (`parsing.parse_request`). Nothing else changes, and no
other method of the server pays for it.

    health_pb2_grpc.add_HealthServicer_to_server(servicer, typed(server))
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import _async as reflection
from grpc_reflection.v1alpha import reflection_pb2_grpc

from quorate.runtime.errors import QuorateError, abort
from quorate.runtime.parsing import malformed_request


def typed(server: Any) -> Any:
    """What takes the place of a grpc.aio server in a generated `add_..._to_server`."""
    return _Registrar(server)


class _Registrar:
    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        """As the server's."""
        self._server.add_generic_rpc_handlers(tuple(map(_Service, handlers)))

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """As the server's: grpc.aio has none, and looks each method up by its service."""


class _Service(grpc.ServiceRpcHandler):  # type: ignore[type-arg]
    """A service's handlers, each wrapped when it is first called."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._wrapped: dict[str, Any] = {}

    def service_name(self) -> str:
        """The service's full name."""
        return str(self._inner.service_name())

    def service(self, details: Any) -> Any:
        """The handler of a method; None when there is no such method."""
        handler = self._wrapped.get(details.method)
        if handler is None:
            handler = self._inner.service(details)
            if handler is not None:
                handler = self._wrapped[details.method] = _wrap(handler, details.method)
        return handler


def _wrap(handler: Any, method: str) -> Any:
    """The handler with its requests parsed here. Its behavior must be asynchronous."""
    parse: Callable[[bytes], Any] = handler.request_deserializer

    def read(body: bytes) -> Any:
        try:
            return parse(body)
        except DecodeError:
            raise malformed_request("request of this method", method) from None

    async def unary_unary(body: bytes, context: Any) -> Any:
        try:
            request = read(body)
        except QuorateError as error:
            await abort(context, error)
        return await handler.unary_unary(request, context)

    async def unary_stream(body: bytes, context: Any) -> AsyncIterator[Any]:
        try:
            request = read(body)
        except QuorateError as error:
            await abort(context, error)
        answers = handler.unary_stream(request, context)
        if inspect.isawaitable(answers):
            # It writes its answers to the context instead.
            await answers
            return
        async for answer in answers:
            yield answer

    async def stream_stream(bodies: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for body in bodies:
                yield read(body)

        try:
            async for answer in handler.stream_stream(requests(), context):
                yield answer
        except QuorateError as error:
            await abort(context, error)

    writes = handler.response_serializer
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(unary_unary, None, writes)
    if handler.unary_stream is not None:
        return grpc.unary_stream_rpc_method_handler(unary_stream, None, writes)
    assert handler.stream_stream is not None, method
    return grpc.stream_stream_rpc_method_handler(stream_stream, None, writes)


def serve_reflection(names: Iterable[str], server: Any) -> None:
    """Serve gRPC reflection, which lists the services of these full names."""
    servicer = reflection.ReflectionServicer(names)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, typed(server))
