"""One RPC of the cluster: how to call it, and how it may be repeated. Made from its descriptor."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One RPC: how to call it, and what of its shape decides how it may be repeated."""

    descriptor: MethodDescriptor
    path: str
    request: type[Message]
    response: type[Message]
    streams: bool
    has_request_id: bool
    resumes: bool
    """Its stream goes on behind the `resume_token` of any answer."""
    long_poll: bool
    """It waits for `timeout` seconds, a field of its request."""

    @property
    def name(self) -> str:
        """Without the service."""
        return str(self.descriptor.name)


def method_from(descriptor: MethodDescriptor) -> Method:
    """The method of a descriptor; its requests must not be streamed."""
    assert not descriptor.client_streaming, descriptor.full_name
    fields = descriptor.input_type.fields_by_name
    timeout = fields.get("timeout")
    return Method(
        descriptor=descriptor,
        path=f"/{descriptor.containing_service.full_name}/{descriptor.name}",
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        streams=descriptor.server_streaming,
        has_request_id="request_id" in fields,
        resumes=descriptor.server_streaming
        and "resume_token" in fields
        and "resume_token" in descriptor.output_type.fields_by_name,
        long_poll=timeout is not None
        and timeout.message_type is not None
        and timeout.message_type.full_name == "google.protobuf.Duration",
    )


def method_of(service: ServiceDescriptor, name: str) -> Method:
    """The method of this name. Raises KeyError."""
    return method_from(service.methods_by_name[name])
