"""The purity lint sees what it is there to see, and lets pure code alone."""

import pytest

from tools import check_purity
from tools.check_purity import check_source

IMPURE = {
    "import asyncio": "imports asyncio",
    "from time import monotonic": "imports time",
    "import os.path": "imports os.path",
    "from scheduler.engine import driver": "imports scheduler.engine.driver, which is not pure",
    "from quorate.etcd.client import EtcdClient": "quorate.etcd.client.EtcdClient, which is not",
    "from quorate.v1 import scheduler_pb2_grpc": "imports quorate.v1.scheduler_pb2_grpc",
    "from . import state": "relative import",
    "def f():\n    return hash('a')": "calls hash()",
    "import datetime\nx = datetime.datetime.now()": "reads the clock",
    "for x in {1, 2}:\n    pass": "iterates over a set",
    "y = [x for x in set(a)]": "iterates over a set",
    "def f(a: set[int]):\n    return list(a)": "list() depends on the order of a set",
    "class A:\n    b: set[int]\n\ndef f(a):\n    for c in a.b: pass": "iterates over a set",
    "a = set()\nb = a.pop()": "pop() of a set",
    "a = frozenset(b)\nfor c in a - d:\n    pass": "iterates over a set",
}

PURE = [
    "import datetime\nx = datetime.timedelta(1)",
    "from quorate.runtime.ids import TaskId",
    "from quorate.v1 import task_pb2",
    "from scheduler.core.model import state",
    "for x in sorted({1, 2}):\n    pass",
    "a = any(x > 1 for x in set(b))",
    "for x in {1: 2}:\n    pass",
    "for x in {1, 2}:  # pure: one element at most\n    pass",
]


@pytest.mark.parametrize("source", IMPURE)
def test_impure_code_is_reported(source: str) -> None:
    (finding,) = check_source(source)
    assert IMPURE[source] in finding.text


@pytest.mark.parametrize("source", PURE)
def test_pure_code_is_let_alone(source: str) -> None:
    assert check_source(source) == []


def test_a_package_that_does_not_exist_is_an_offence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_purity, "PURE_PACKAGES", ("scheduler.core", "scheduler.gone"))
    assert check_purity.main() == 1
    assert "scheduler.gone: does not exist" in capsys.readouterr().out
