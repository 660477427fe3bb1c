"""CreatePause, ListPauses, DeletePause: bounds, answers, failover."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import pause_pb2 as pb
from scheduler.core.model.rows import PauseRow
from scheduler.storage.records.queues.pauses import pause_record, pause_row
from scheduler.storage.replica.fold import Fold
from tests.support.one_leader import Leader, leading


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def test_a_pause_is_made_listed_and_ended(leader: Leader) -> None:
    wanted = pb.Pause(name="outage", labels={"app": "mail"}, fairness_key="acme", reason="down")
    made = (await leader.call("CreatePause", pb.CreatePauseRequest(pause=wanted))).pause
    assert (made.scope, made.HasField("until")) == (1, False)
    assert made.HasField("pause_time")
    (listed,) = (await leader.call("ListPauses", pb.ListPausesRequest())).pauses
    assert listed == made
    await leader.call("DeletePause", pb.DeletePauseRequest(name="outage"))
    assert not (await leader.call("ListPauses", pb.ListPausesRequest())).pauses
    with pytest.raises(QuorateError) as error:
        await leader.call("DeletePause", pb.DeletePauseRequest(name="outage"))
    assert error.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("pause", "field"),
    [
        (pb.Pause(labels={"a": "b"}), "pause.name"),
        (pb.Pause(name="Not a name", labels={"a": "b"}), "pause.name"),
        (pb.Pause(name="p"), "pause"),
        (pb.Pause(name="p", queue="Not a name"), "pause.queue"),
        (pb.Pause(name="p", labels={"": "b"}), "pause.labels"),
        (pb.Pause(name="p", labels={"a": "x" * 129}), "pause.labels"),
        (pb.Pause(name="p", labels={str(n): "" for n in range(9)}), "pause.labels"),
        (pb.Pause(name="p", fairness_key="x" * 257), "pause.fairness_key"),
        (pb.Pause(name="p", fairness_key="x", reason="x" * 257), "pause.reason"),
        (pb.Pause(name="p", fairness_key="x", scope=4), "pause.scope"),  # type: ignore[arg-type]
        (pb.Pause(name="p", fairness_key="x", until=Timestamp(seconds=1)), "pause.until"),
    ],
)
async def test_a_pause_out_of_bounds_is_refused(
    leader: Leader, pause: pb.Pause, field: str
) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call("CreatePause", pb.CreatePauseRequest(pause=pause))
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == field


def test_a_record_says_all_of_a_pause_and_a_standby_folds_it() -> None:
    row = PauseRow("p", labels=(("a", "b"),), tenant="t", reason="r", until=5.0, by="x", since=4.0)
    assert pause_row(pause_record(row)) == row
    fold = Fold()
    fold.put(b"pauses/p", pause_record(row), 1)
    assert fold.state.pauses.rows == {"p": row}
    assert fold.state.next_pause_end() == 5.0
    fold.deleted(b"pauses/p")
    assert not fold.state.pauses.rows
