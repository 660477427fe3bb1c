"""The document is what is served, and both follow the descriptors."""

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.rest.openapi.comments import comments, first_sentence
from gateway.rest.openapi.document import document
from gateway.rest.operations import PUBLIC_SERVICES, operations_of
from gateway.rest.router import Router

T = descriptor_pb2.FieldDescriptorProto


@pytest.fixture(scope="module")
def served():
    return document(operations_of(), title="Quorate", version="1", server="/sub")


def every(value, key):
    """All values of a key, anywhere below."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from every(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from every(inner, key)


def test_every_method_is_an_operation_with_its_comment(served):
    found = {
        operation["operationId"]: operation
        for item in served["paths"].values()
        for operation in item.values()
    }
    methods = {
        method.name: method
        for service in PUBLIC_SERVICES
        for method in service.methods
        # HTTP has no streams of requests.
        if not method.client_streaming
    }
    assert set(found) == set(methods)
    for name, operation in found.items():
        assert operation["description"] == comments()[methods[name].full_name]
        assert operation["summary"] == first_sentence(operation["description"])


def test_every_reference_leads_somewhere(served):
    references = list(every(served["paths"], "$ref")) + list(every(served["components"], "$ref"))
    assert references
    for reference in references:
        at = served
        for key in reference.removeprefix("#/").split("/"):
            at = at[key]


def test_every_field_of_the_contract_that_has_a_comment_shows_it(served):
    task = served["components"]["schemas"]["Task"]["properties"]
    assert task["id"]["description"] == "Time-ordered: ids sort by creation."
    state = served["components"]["schemas"]["TaskState"]
    assert (
        "* `TASK_STATE_RUNNING` (5): An attempt is assigned to a node, or runs there."
        in state["description"]
    )
    assert {"TASK_STATE_RUNNING", 5} <= set(state["enum"])


def test_parameters_are_where_the_annotation_puts_them(served):
    watch = served["paths"]["/v1/tasks:watch"]["get"]["parameters"]
    places = {one["name"]: one["in"] for one in watch}
    assert places["resumeToken"] == places["states"] == "query"
    assert places["Last-Event-ID"] == "header"
    create = served["paths"]["/v1/queues/{queue}/tasks"]["post"]
    assert create["parameters"][0] | {"description": ""} == {
        "name": "queue",
        "in": "path",
        "required": True,
        "description": "",
        "schema": {"type": "string", "minLength": 1},
    }
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"spec", "requestId", "parent"}
    assert served["servers"] == [{"url": "/sub"}]


def test_only_changes_of_one_resource_and_reads_take_conditions(served):
    def names(path, method):
        return {one["name"] for one in served["paths"][path][method]["parameters"]}

    assert "If-Match" in names("/v1/queues/{name}:pause", "post")
    assert {"If-Match", "If-None-Match"} <= names("/v1/tasks/{id}", "get")
    assert "If-Match" not in names("/v1/queues", "post")
    assert "If-Match" not in names("/v1/tasks:watch", "get")


def service_with(rule: http_pb2.HttpRule, **options):
    """A service of one method `Do` with this annotation."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="quorate.t", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="deep_name", number=1, type=T.TYPE_STRING, label=T.LABEL_OPTIONAL)
    inner.field.add(name="many", number=2, type=T.TYPE_INT32, label=T.LABEL_REPEATED)
    request = file.message_type.add(name="DoRequest")
    request.field.add(name="id", number=1, type=T.TYPE_STRING, label=T.LABEL_OPTIONAL)
    request.field.add(
        name="inner",
        number=2,
        type=T.TYPE_MESSAGE,
        type_name=".quorate.t.Inner",
        label=T.LABEL_OPTIONAL,
    )
    request.field.add(
        name="list",
        number=3,
        type=T.TYPE_MESSAGE,
        type_name=".quorate.t.Inner",
        label=T.LABEL_REPEATED,
    )
    method = file.service.add(name="S").method.add(
        name="Do", input_type=".quorate.t.DoRequest", output_type=".quorate.t.Inner", **options
    )
    method.options.Extensions[annotations_pb2.http].CopyFrom(rule)
    pool.Add(file)
    return pool.FindServiceByName("quorate.t.S")


def test_an_annotation_alone_makes_a_route_and_its_description():
    rule = http_pb2.HttpRule(
        post="/v1/things/{id}:do",
        body="inner",
        additional_bindings=[
            http_pb2.HttpRule(get="/v1/things/{inner.deep_name}"),
            http_pb2.HttpRule(custom={"kind": "REPORT", "path": "/v1/things"}, body="*"),
        ],
    )
    operations = operations_of([service_with(rule)])
    assert [(one.id, one.verb) for one in operations] == [
        ("Do", "POST"),
        ("Do2", "GET"),
        ("Do3", "REPORT"),
    ]
    router = Router(operations)
    do, report = router.match("/v1/things/x:do"), router.match("/v1/things")
    assert do is not None
    assert report is not None
    assert do.operations["POST"].id == "Do"
    assert report.operations["REPORT"].body == "*"
    paths = document(operations, title="", version="", server="")["paths"]
    first = paths["/v1/things/{id}:do"]["post"]
    schema = first["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Inner"}
    # A list of messages has no form in a query.
    second = paths["/v1/things/{deepName}"]["get"]["parameters"]
    names = {one["name"] for one in second if one["in"] == "query"}
    assert names == {"id", "inner.deepName", "inner.many"}


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (http_pb2.HttpRule(body="*"), {}),
        (http_pb2.HttpRule(get="/v1/{nothing}"), {}),
        (http_pb2.HttpRule(get="/v1/{inner}"), {}),
        (http_pb2.HttpRule(get="/v1/{inner.many}"), {}),
        (http_pb2.HttpRule(post="/v1/x", body="id"), {}),
        (http_pb2.HttpRule(post="/v1/x", body="list"), {}),
        (http_pb2.HttpRule(get="/v1/x", body="*"), {}),
        (http_pb2.HttpRule(post="/v1/x", body="*"), {"client_streaming": True}),
    ],
)
def test_an_annotation_that_cannot_be_served_is_refused_at_the_start(rule, options):
    with pytest.raises(ValueError):
        operations_of([service_with(rule, **options)])


def test_problems_of_a_cluster_and_of_a_request_are_two_schemas() -> None:
    schemas = document(operations_of(), title="", version="", server="")["components"]["schemas"]
    assert "sentence" in schemas["Problem"]["properties"]
    assert "reason" in schemas["ProblemDetails"]["properties"]
