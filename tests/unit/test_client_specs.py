"""From calls and programs to specs: by name, by value, and what is refused before it is sent."""

import functools
import operator
import pickle
import threading
from typing import Any, cast

import cloudpickle
import pytest

from quorate.client.chunk import ENTRYPOINT, STAR_ENTRYPOINT, run_chunk, run_star_chunk
from quorate.client.decorator import task
from quorate.client.errors import ArgumentNotSerialisable, PayloadTooLarge
from quorate.client.work import specs
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import (
    check_size,
    chunk_spec,
    command_spec,
    entrypoint_of,
    json_spec,
    python_spec,
)
from quorate.runtime.errors import QuorateError
from scheduler.api.request_sizes import MAX_BATCH_BYTES
from scheduler.api.tasks import validate

OPTIONS = TaskOptions()


def test_an_importable_function_goes_by_name():
    spec = python_spec(operator.add, (1,), {"b": 2}, OPTIONS, 0.0)
    assert spec.python.entrypoint == "_operator:add"
    assert pickle.loads(spec.python.pickle) == ((1,), {"b": 2})
    assert spec.name == "add"


def test_a_lambda_goes_by_value():
    offset = 40
    spec = python_spec(lambda x: x + offset, (2,), {}, OPTIONS, 0.0)
    assert spec.python.entrypoint == ""
    function, args, kwargs = pickle.loads(spec.python.pickle)
    assert function(*args, **kwargs) == 42


def test_a_function_of_main_goes_by_value():
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def double(x):\n    return 2 * x", namespace)
    spec = python_spec(namespace["double"], (21,), {}, OPTIONS, 0.0)
    assert spec.python.entrypoint == ""
    function, args, _ = pickle.loads(spec.python.pickle)
    assert function(*args) == 42


def test_an_instance_of_a_class_of_main_goes_by_value():
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("class Point:\n    x = 7", namespace)
    spec = python_spec(operator.attrgetter("x"), (namespace["Point"](),), {}, OPTIONS, 0.0)
    function, args, _ = pickle.loads(spec.python.pickle)
    assert function(*args) == 7


def test_partials_and_bound_methods_go_by_value():
    for work in (functools.partial(operator.add, 1), "abc".replace):
        assert entrypoint_of(work) is None
    function, args, _ = pickle.loads(
        python_spec("a-b".replace, ("-", "+"), {}, OPTIONS, 0.0).python.pickle
    )
    assert function(*args) == "a+b"


@task(retries=2)
def decorated(x):
    return x + 1


def test_a_decorated_function_still_works_here_and_travels_without_its_decorator():
    assert decorated(1) == 2
    spec = python_spec(decorated, (1,), {}, OPTIONS, 0.0)
    # Test modules are not importable by name on a node, so it may go either way.
    content = pickle.loads(spec.python.pickle)
    if not spec.python.entrypoint:
        assert content[0](*content[1]) == 2
    else:
        assert content == ((1,), {})


@pytest.mark.parametrize("text", ["math", "math:", ":f", "a b:c", "a:b:c", "", "math:s qrt"])
def test_a_malformed_entrypoint_is_refused(text):
    with pytest.raises(QuorateError) as caught:
        entrypoint_of(text)
    assert caught.value.reason == "INVALID_FIELD"
    assert caught.value.field == "entrypoint"


def test_something_that_is_not_callable_is_refused():
    with pytest.raises(QuorateError, match="int is not callable"):
        entrypoint_of(cast(Any, 5))


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, threading.Lock()), {}, "argument 2 (lock)"),
        ((), {"guard": threading.Lock()}, "argument 'guard' (lock)"),
    ],
)
def test_an_argument_that_does_not_serialise_is_named(args, kwargs, named):
    with pytest.raises(ArgumentNotSerialisable) as caught:
        python_spec(print, args, kwargs, OPTIONS, 0.0)
    assert caught.value.argument == named
    assert isinstance(caught.value, TypeError)
    assert caught.value.metadata["field"] == named


def test_an_item_of_a_chunk_that_does_not_serialise_is_named():
    with pytest.raises(ArgumentNotSerialisable, match="lock"):
        chunk_spec(ENTRYPOINT, len, ["a", threading.Lock()], OPTIONS, 0.0)


def test_a_payload_over_the_limit_is_refused_with_the_limit():
    spec = python_spec(len, (b"x" * 2000,), {}, OPTIONS, 0.0)
    with pytest.raises(PayloadTooLarge) as caught:
        check_size(spec, 1000)
    assert caught.value.limit == 1000
    assert caught.value.metadata["limit"] == "1000"
    assert caught.value.reason == "PAYLOAD_TOO_LARGE"
    assert check_size(spec, 4000) == spec.ByteSize()


@pytest.mark.parametrize("argv", [[], [""], "ls -l"])
def test_a_command_without_a_program_is_refused(argv):
    with pytest.raises(QuorateError) as caught:
        command_spec(argv, OPTIONS, 0.0)
    assert caught.value.field == "argv"


def test_a_command_keeps_everything():
    spec = command_spec(["/bin/cat", "-n"], OPTIONS, 0.0, env={"A": "b"}, cwd="/tmp", stdin="hé")
    assert list(spec.command.argv) == ["/bin/cat", "-n"]
    assert dict(spec.command.env) == {"A": "b"}
    assert (spec.command.cwd, spec.command.stdin, spec.name) == ("/tmp", "hé".encode(), "cat")


def test_json_arguments_travel_as_json():
    spec = json_spec("math:hypot", [3, 4], OPTIONS, 0.0)
    assert (spec.python.entrypoint, spec.python.json) == ("math:hypot", "[3,4]")


def test_chunks_do_what_the_function_does_to_each_item():
    spec = chunk_spec(ENTRYPOINT, len, ["a", "bb"], OPTIONS, 0.0)
    args, kwargs = pickle.loads(spec.python.pickle)
    assert run_chunk(*args, **kwargs) == [1, 2]
    spec = chunk_spec(STAR_ENTRYPOINT, lambda a, b: a * b, [(2, 3), (4, 5)], OPTIONS, 0.0)
    args, kwargs = cloudpickle.loads(spec.python.pickle)
    assert run_star_chunk(*args, **kwargs) == [6, 20]


def test_the_limits_of_a_batch_are_those_of_the_cluster():
    assert specs.MOST_IN_BATCH == validate.MAX_BATCH
    assert specs.MOST_BATCH_BYTES == MAX_BATCH_BYTES


def test_a_module_that_is_missing_on_the_node_is_named_with_what_to_do():
    with pytest.raises(ModuleNotFoundError, match=r"'no_such_helper' is not importable") as caught:
        run_chunk("no_such_helper.part:f", [1])
    assert "register_pickle_by_value" in str(caught.value)
