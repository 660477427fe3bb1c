"""Functions of `@quorate.task` go wherever functions go; what they wrap is called as it is."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import sys
import types
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import cloudpickle
import pytest

from quorate.client.decorator import Task, task
from quorate.client.work import by_value
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import python_spec

OPTIONS = TaskOptions()


@task(retries=2)
def double(x: int) -> int:
    return 2 * x


def shout(function: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(function)
    def loud(*args: Any) -> str:
        return function(*args).upper()

    return loud


@shout
def plain(name: str) -> str:
    return name


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_task_pickles_by_name(dumps: Any) -> None:
    assert pickle.loads(dumps(double)) is double


def test_a_variant_carries_its_options() -> None:
    copy = pickle.loads(pickle.dumps(double.but(queue="mail")))
    assert isinstance(copy, Task)
    assert (copy.options.queue, copy.options.retries) == ("mail", 2)
    assert copy(21) == 42


def test_a_task_is_called_in_a_process_pool() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(double, 21).result(60) == 42


def test_a_task_of_main_goes_by_value() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__", "task": task}
    exec("@task(retries=1)\ndef triple(x):\n    return 3 * x", namespace)
    spec = python_spec(map, (namespace["triple"], [1]), {}, OPTIONS, 0.0)
    (function, _), _ = pickle.loads(spec.python.pickle)
    assert function(2) == 6
    assert function.options.retries == 1


def test_what_a_task_wraps_goes_by_the_name_of_the_task() -> None:
    spec = python_spec(double.__wrapped__, (1,), {}, OPTIONS, 0.0)
    assert spec.python.entrypoint == f"{__name__}:double"


def test_what_another_decorator_wraps_is_called_without_the_decorator() -> None:
    function: Any = plain
    spec = python_spec(function.__wrapped__, ("ann",), {}, OPTIONS, 0.0)
    assert spec.python.entrypoint == ""
    called, args, _ = pickle.loads(spec.python.pickle)
    assert called(*args) == "ann"
    assert python_spec(plain, ("ann",), {}, OPTIONS, 0.0).python.entrypoint == f"{__name__}:plain"


@pytest.fixture
def local_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that no node can import, registered to go by value."""
    module: Any = types.ModuleType("only_here")
    source = "class Point:\n    x = 7\ndef get(p):\n    return p.x\n"
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    cloudpickle.register_pickle_by_value(module)
    yield module
    cloudpickle.unregister_pickle_by_value(module)


def test_modules_registered_with_cloudpickle_go_by_value(
    local_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = python_spec(local_module.get, (local_module.Point(),), {}, OPTIONS, 0.0)
    monkeypatch.delitem(sys.modules, "only_here")
    assert spec.python.entrypoint == ""
    function, args, _ = pickle.loads(spec.python.pickle)
    assert function(*args) == 7


def test_a_function_that_travels_keeps_the_name_of_its_file() -> None:
    spec = python_spec(lambda x: x, (1,), {}, OPTIONS, 0.0)
    function, *_ = pickle.loads(spec.python.pickle)
    assert function.__code__.co_filename == __file__


def test_what_a_newer_cloudpickle_hides_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def hiding(code: types.CodeType) -> Any:
        make, values = reduce(code)
        return make, tuple("<dynamic-code>" if v == code.co_filename else v for v in values)

    reduce = cloudpickle.CloudPickler.dispatch_table[types.CodeType]
    monkeypatch.setitem(cloudpickle.CloudPickler._dispatch_table, types.CodeType, hiding)

    def nested() -> Any:
        return lambda: 1

    assert pickle.loads(cloudpickle.dumps(nested)).__code__.co_filename == "<dynamic-code>"
    code = pickle.loads(by_value.dumps(nested)).__code__
    assert code.co_filename == __file__
    assert pickle.loads(by_value.dumps(nested))()() == 1
