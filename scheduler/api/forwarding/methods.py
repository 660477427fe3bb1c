"""How each RPC of a service is answered, by what of it is a stream."""

from __future__ import annotations

from google.protobuf.descriptor import MethodDescriptor

from scheduler.api.forwarding.call import Method, StreamedMethod, UnaryMethod
from scheduler.api.forwarding.duplex import DuplexMethod


def method_of(descriptor: MethodDescriptor) -> Method:
    """The method behind a descriptor. Whoever streams requests streams answers too."""
    if descriptor.client_streaming:
        assert descriptor.server_streaming, descriptor.full_name
        return DuplexMethod(descriptor)
    return StreamedMethod(descriptor) if descriptor.server_streaming else UnaryMethod(descriptor)
