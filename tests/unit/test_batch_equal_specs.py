"""BatchCreateTasks with the same task many times: it is checked once, and kept once."""

from __future__ import annotations

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from scheduler.api.specs.check import LARGE_JSON, SpecCheck
from tests.support.one_leader import Leader, leading


def python(json: str, priority: int = 0) -> t.TaskSpec:
    return t.TaskSpec(python=t.PythonWork(entrypoint="jobs:run", json=json), priority=priority)


async def create(leader: Leader, *specs: t.TaskSpec) -> list[TaskId]:
    answer = await leader.call("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs))
    return [TaskId(task) for task in answer.ids]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fields that were checked."""
    fields: list[str] = []
    check = SpecCheck.serialized

    def noted(self: SpecCheck, spec: t.TaskSpec, data: bytes, field: str, now: float) -> object:
        fields.append(field)
        return check(self, spec, data, field, now)

    monkeypatch.setattr(SpecCheck, "serialized", noted)
    return fields


async def test_equal_specs_behind_one_another_are_checked_and_kept_once(
    checked: list[str],
) -> None:
    async with leading(MemoryEtcd()) as leader:
        ids = await create(leader, *[python("[1]")] * 3, python("[2]"), python("[1]"))
        assert checked == ["specs[0]", "specs[3]", "specs[4]"]
        specs = [leader.driver.state.tasks[task].spec for task in ids]
        assert specs[0] is specs[1] is specs[2]
        kept = [t.TaskSpec.FromString(spec or b"").python.json for spec in specs]
        assert kept == ["[1]", "[1]", "[1]", "[2]", "[1]"]


async def test_a_batch_that_begins_with_an_empty_spec_is_refused() -> None:
    async with leading(MemoryEtcd()) as leader:
        with pytest.raises(QuorateError, match=r"specs\[0\]\.work: is required"):
            await create(leader, t.TaskSpec(), t.TaskSpec())


async def test_a_bad_spec_behind_equal_ones_is_named_by_its_place() -> None:
    async with leading(MemoryEtcd()) as leader:
        with pytest.raises(QuorateError, match=r"specs\[2\]\.priority"):
            await create(leader, *[python("[]")] * 2, *[python("[]", priority=9_999)] * 2)
        assert not leader.driver.state.tasks


async def test_large_arguments_are_parsed_though_the_spec_before_was_good() -> None:
    text = '["' + "x" * LARGE_JSON + '"]'
    async with leading(MemoryEtcd()) as leader:
        with pytest.raises(QuorateError, match=r"specs\[2\]\.python\.json"):
            await create(leader, python(text), python(text), python(text[:-1] + "}"))
