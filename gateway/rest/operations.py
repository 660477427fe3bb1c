"""What REST serves: one operation for each `google.api.http` binding of a public method.

`PUBLIC_SERVICES` is the only list. A service is added by its line there; a method by its annotation
in the proto file. Operations are made once, when the gateway starts; an annotation that cannot be
served raises ValueError then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

from gateway.cluster.methods import Method, method_from
from gateway.rest.masks import mask_field, output_of
from gateway.rest.template import Template, parse
from quorate.v1 import broker_pb2, output_pb2, scheduler_pb2, service_pb2

PUBLIC_SERVICES: Final[tuple[ServiceDescriptor, ...]] = (
    scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"],
    service_pb2.DESCRIPTOR.services_by_name["ServiceRegistry"],
    broker_pb2.DESCRIPTOR.services_by_name["Broker"],
)

_VERBS: Final = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One way to call one method over HTTP.

    `body` is "" (none), "*" (all fields that the path does not bind) or a field's name.
    """

    id: str
    tag: str
    method: Method
    verb: str
    template: Template
    body: str
    response_field: str
    mask: str = ""
    """Of a PATCH of one resource: the field mask, which is made from the body when it is empty."""

    @property
    def reads(self) -> bool:
        """It changes nothing (GET)."""
        return self.verb == "GET"

    @property
    def resource_field(self) -> FieldDescriptor | None:
        """What a unary method's answer is about, where it is about one thing (AIP-131)."""
        return resource_of(self.method.descriptor.output_type)

    @property
    def request(self) -> Descriptor:
        """The request message."""
        return self.method.descriptor.input_type

    @property
    def query_fields(self) -> tuple[FieldDescriptor, ...]:
        """Fields of the request that are given in the query."""
        if self.body == "*":
            return ()
        bound = {*self.template.fields, self.body}
        return tuple(one for one in self.request.fields if one.name not in bound)

    @property
    def body_type(self) -> Descriptor:
        """The message that the body is; only where there is a body."""
        if self.body == "*":
            return self.request
        kind = self.request.fields_by_name[self.body].message_type
        assert kind is not None
        return kind


def operations_of(services: Sequence[ServiceDescriptor] = PUBLIC_SERVICES) -> tuple[Operation, ...]:
    """Every operation of the services, in the order of the proto files."""
    return tuple(
        operation
        for service in services
        for descriptor in service.methods
        if descriptor.GetOptions().HasExtension(annotations_pb2.http)
        for operation in _bindings(descriptor)
    )


def _bindings(descriptor: Any) -> Iterator[Operation]:
    rule = descriptor.GetOptions().Extensions[annotations_pb2.http]
    if descriptor.client_streaming:
        raise ValueError(f"{descriptor.full_name}: a stream of requests has no HTTP form")
    method = method_from(descriptor)
    for number, one in enumerate((rule, *rule.additional_bindings)):
        yield _operation(
            method, one, descriptor.name if number == 0 else f"{descriptor.name}{number + 1}"
        )


def _operation(method: Method, rule: Any, name: str) -> Operation:
    pattern = rule.WhichOneof("pattern")
    if pattern == "custom":
        verb, path = rule.custom.kind.upper(), rule.custom.path
    elif pattern in _VERBS:
        verb, path = pattern.upper(), getattr(rule, pattern)
    else:
        raise ValueError(f"{name}: the annotation has no path")
    template = parse(path)
    operation = Operation(
        id=name,
        tag=method.descriptor.containing_service.name,
        method=method,
        verb=verb,
        template=template,
        body=rule.body,
        response_field=rule.response_body,
        mask=mask_field(method.descriptor.input_type)
        if verb == "PATCH" and rule.body not in ("", "*")
        else "",
    )
    for path_field in template.fields:
        field = field_at(operation.request, path_field)
        if field is None or field.is_repeated or field.message_type is not None:
            raise ValueError(f"{name}: {path_field} is not a field that a path can hold")
    if rule.body not in ("", "*") and (
        (field := operation.request.fields_by_name.get(rule.body)) is None
        or field.message_type is None
        or field.is_repeated
    ):
        raise ValueError(f"{name}: body {rule.body!r} is not a message of the request")
    if verb in ("GET", "DELETE") and rule.body:
        raise ValueError(f"{name}: {verb} has no body")
    return operation


def resource_of(answer: Descriptor) -> FieldDescriptor | None:
    """The one message that an answer is about; None when it is about anything else.

    What stands beside it and moves by itself (OUTPUT_LIVE), such as who asked, does not count.
    """
    fields = [one for one in answer.fields if output_of(one) != output_pb2.OUTPUT_LIVE]
    if len(fields) != 1:
        return None
    (field,) = fields
    return field if field.message_type is not None and not field.is_repeated else None


def field_at(message: Descriptor, path: str) -> FieldDescriptor | None:
    """The field that a dotted path of proto names leads to."""
    field: FieldDescriptor | None = None
    kind: Descriptor | None = message
    for name in path.split("."):
        field = None if kind is None else kind.fields_by_name.get(name)
        if field is None:
            return None
        kind = field.message_type
    return field
