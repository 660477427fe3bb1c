"""Whatever an exception of user code does when it is looked at, the worker answers and goes on."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import cloudpickle
import pytest

from node_agent.protocol import answers


class Leaf(json.JSONDecodeError):
    pass


def test_an_exception_names_its_base_classes_nearest_first() -> None:
    answer = answers.of_exception(Leaf("no", "{", 0), ours=0)
    assert answer[5].split("\n") == [
        "json.decoder.JSONDecodeError",
        "ValueError",
        "Exception",
        "BaseException",
    ]


def test_names_of_base_classes_are_bounded() -> None:
    kind: type = Exception
    for number in range(100):
        kind = type(f"E{number}" + "x" * 90, (kind,), {})
    text = answers.bases_of(kind)
    assert len(text) <= answers.MAX_BASES
    assert len(text.split("\n")) <= answers.MAX_BASE_NAMES


def _exits(*_: Any) -> Any:
    sys.exit(3)


def _exception(**methods: Any) -> BaseException:
    kind = type("Hostile", (Exception,), {"__module__": "m", **methods})
    error = kind("x")
    assert isinstance(error, BaseException)
    return error


ExitingText = type("ExitingText", (str,), {"encode": _exits, "__format__": _exits})


def test_an_exception_whose_attributes_or_text_exit_is_answered() -> None:
    answer = answers.of_exception(_exception(__getattribute__=_exits), ours=0)
    assert answer[:2] == ("error", "m.Hostile")
    answer = answers.of_exception(_exception(__str__=lambda _: ExitingText("text")), ours=0)
    assert answer[:3] == ("error", "m.Hostile", "text")
    assert type(answer[2]) is str


class ExitingMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__"):
            sys.exit(4)
        return super().__getattribute__(name)


@pytest.mark.parametrize("method", ["__str__", "__reduce__", "__reduce_ex__", "__repr__"])
def test_an_exception_whose_methods_exit_is_answered(method: str) -> None:
    answer = answers.of_exception(_exception(**{method: _exits}), ours=0)
    assert answer[:2] == ("error", "m.Hostile")


def test_an_exception_of_a_metaclass_that_exits_is_answered() -> None:
    kind = ExitingMeta("Hostile", (Exception,), {})
    assert answers.of_exception(kind("x"), ours=0)[1] == "(a class without a name)"


class Exits:
    def __reduce__(self) -> Any:
        sys.exit(5)


def test_a_result_whose_pickling_exits_is_an_error_of_the_task() -> None:
    kind, name, message, *_ = answers.of_result("pickle", Exits(), 1000)
    assert (kind, name) == ("error", "RESULT_NOT_SERIALISABLE")
    assert "Exits" in message


def test_a_plain_result_is_a_plain_pickle() -> None:
    assert pickle.loads(answers.of_result("pickle", [1, 2], 1000)[1]) == [1, 2]


def test_a_result_that_only_the_worker_knows_keeps_the_file_of_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As arguments do: a traceback at the caller says file and source."""
    table = cloudpickle.CloudPickler.dispatch_table
    reduce = table[CodeType]

    def hiding(code: CodeType) -> tuple[Any, ...]:
        # As cloudpickle 3.1.3 does.
        make, values, *rest = reduce(code)
        hidden = ("<dynamic-code>" if one == code.co_filename else one for one in values)
        return (make, tuple(hidden), *rest)

    monkeypatch.setitem(table, CodeType, hiding)

    def fails() -> None:
        raise ValueError("here")

    kind, data = answers.of_result("pickle", fails, 1 << 20)
    assert kind == "pickle"
    with pytest.raises(ValueError, match="here") as raised:
        pickle.loads(data)()
    assert raised.traceback[-1].path == Path(__file__)
