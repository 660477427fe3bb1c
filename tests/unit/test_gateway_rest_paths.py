"""Paths: what the templates mean, and which operation a request's path reaches."""

import pytest

from gateway.rest.operations import PUBLIC_SERVICES, operations_of
from gateway.rest.router import Router
from gateway.rest.template import Variable, parse
from quorate.runtime.errors import QuorateError


@pytest.fixture(scope="module")
def router():
    return Router(operations_of())


def test_a_template_has_literals_variables_and_a_verb():
    template = parse("/v1/queues/{queue}/tasks:batchCreate")
    assert template.segments == ("v1", "queues", Variable("queue"), "tasks")
    assert template.verb == "batchCreate"
    assert template.fields == ("queue",)
    assert parse("/v1/{a.b=*}").fields == ("a.b",)


@pytest.mark.parametrize(
    "text",
    [
        "v1/tasks",
        "/v1//tasks",
        "/v1/tasks/",
        "/v1/{name=queues/*}",
        "/v1/{name=**}",
        "/v1/**",
        "/v1/tasks:",
        "/v1/{id}/x/{id}",
        "/v1/{Id}",
        "/v1/a%2Fb",
    ],
)
def test_a_template_that_cannot_be_served_is_refused(text):
    with pytest.raises(ValueError, match="path template"):
        parse(text)


def test_every_method_of_a_public_service_is_served(router):
    served = {operation.method.name for operation in operations_of()}
    assert served == {
        method.name
        for service in PUBLIC_SERVICES
        for method in service.methods
        # HTTP has no streams of requests.
        if not method.client_streaming
    }


@pytest.mark.parametrize(
    ("method", "path", "name", "values"),
    [
        ("GET", "/v1/tasks", "ListTasks", {}),
        ("GET", "/v1/tasks:watch", "WatchTasks", {}),
        ("GET", "/v1/tasks/abc", "GetTask", {"id": "abc"}),
        ("DELETE", "/v1/tasks/abc", "DeleteTask", {"id": "abc"}),
        ("GET", "/v1/tasks/abc:wait", "WaitTask", {"id": "abc"}),
        ("POST", "/v1/tasks/abc:cancel", "CancelTask", {"id": "abc"}),
        ("POST", "/v1/tasks:cancel", "CancelTasks", {}),
        ("GET", "/v1/tasks/abc/logs", "StreamTaskLogs", {"id": "abc"}),
        ("GET", "/v1/tasks/abc/logs:search", "SearchTaskLogs", {"id": "abc"}),
        ("POST", "/v1/tasks:cancelAll", "CancelAllTasks", {}),
        ("POST", "/v1/queues/q/tasks:batchCreate", "BatchCreateTasks", {"queue": "q"}),
        # What is encoded is part of the value, not a separator.
        ("GET", "/v1/tasks/a%2Fb", "GetTask", {"id": "a/b"}),
        ("GET", "/v1/tasks/a%3Await", "GetTask", {"id": "a:wait"}),
        ("GET", "/v1/tasks/..", "GetTask", {"id": ".."}),
        ("GET", "/v1/tasks/%C3%A9", "GetTask", {"id": "é"}),
        ("GET", "/v1/%74asks/x", "GetTask", {"id": "x"}),
    ],
)
def test_a_path_reaches_its_operation(router, method, path, name, values):
    match = router.match(path)
    operation = match.operations[method]
    assert operation.id == name
    assert match.values(operation) == values


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/tasks/",
        "/v1//abc",
        "/v1/tasks/abc/",
        "/v1/tasks/abc:nonsense",
        "/v1/tasks/:wait",
        "/v1/tasks:nonsense",
        "/v1/tasks/a/b/c",
        "/v1/nodes/a:b:cordon",
        "v1/tasks",
        "/v1/" + "a/" * 5000,
    ],
)
def test_other_paths_reach_nothing(router, path):
    assert router.match(path) is None


def test_a_value_that_is_not_utf8_is_refused_by_name(router):
    match = router.match("/v1/tasks/%FF")
    with pytest.raises(QuorateError) as refused:
        match.values(match.operations["GET"])
    assert refused.value.field == "id"


def test_a_change_knows_the_get_of_its_resource():
    operations = {operation.id: operation for operation in operations_of()}
    router = Router(operations.values())
    assert router.getter(operations["PauseQueue"]) is operations["GetQueue"]
    assert router.getter(operations["DeleteTask"]) is operations["GetTask"]
    # A list is not the resource of a create.
    assert router.getter(operations["CreateQueue"]) is None
    assert router.getter(operations["CreateTask"]) is None


def test_two_operations_at_one_place_are_refused():
    operations = operations_of()
    with pytest.raises(ValueError, match="served already"):
        Router([*operations, operations[0]])
