"""Specs that name a large payload: what is refused, and how client and agent read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node_agent.core.attempts import Outcome, Result
from node_agent.protocol.replies import Malformed, Reader, packets_of
from node_agent.session.messages import attempt_of, put_outcome
from node_agent.worker.calls import Problem
from node_agent.worker.large import LargeValues as WorkerValues
from quorate.blobs.names import Blob, upload_id
from quorate.blobs.store import BlobStore
from quorate.client.errors import LargeValueError, PayloadTooLarge
from quorate.client.transport.large import AsyncLargeValues, Held, LargeValues
from quorate.runtime.errors import QuorateError
from quorate.v1 import cluster_pb2, job_pb2, node_agent_pb2, schedule_pb2, task_pb2
from scheduler.api.jobs.validate import job
from scheduler.api.schedules import validate as schedules
from scheduler.api.specs.check import SpecCheck
from scheduler.core.model.schedules import ScheduleName
from scheduler.core.values import BLOB_STORE

NOW = 1_700_000_000.0
BLOB = Blob("a" * 64, upload_id(NOW, 1), 1_000)
LIMIT = 10_000


def spec(**changes: Any) -> task_pb2.TaskSpec:
    message = task_pb2.TaskSpec()
    message.python.entrypoint = "m:f"
    message.python.pickle = b""
    blob = BLOB._replace(**changes)
    message.payload_blob.sha256, message.payload_blob.upload, message.payload_blob.size = blob
    return message


def command() -> task_pb2.TaskSpec:
    message = spec()
    message.command.argv.append("cat")
    return message


def refused(message: task_pb2.TaskSpec, *, max_blob: int = 1 << 30) -> QuorateError:
    with pytest.raises(QuorateError) as raised:
        SpecCheck(max_blob=max_blob).spec(message, "spec", NOW)
    return raised.value


@pytest.mark.parametrize("kind", ["pickle", "json", "command"])
def test_what_names_a_large_payload_asks_for_a_store(kind: str) -> None:
    message = command() if kind == "command" else spec()
    if kind == "json":
        message.python.json = ""
    row = SpecCheck(max_blob=1 << 30).spec(message, "spec", NOW)
    assert row.blob == BLOB
    assert row.needs.counters == ((BLOB_STORE, 1),)


def test_without_a_store_a_payload_is_refused_with_how_to_get_one() -> None:
    error = refused(spec(), max_blob=0)
    assert error.reason == "NO_BLOB_STORE"
    assert "--blob-url" in error.message
    small = task_pb2.TaskSpec()
    small.python.entrypoint = "m:f"
    small.python.pickle = b"x" * (300 << 10)
    error = refused(small, max_blob=0)
    assert error.reason == "PAYLOAD_TOO_LARGE"
    assert "--blob-url" in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "A" * 64},
        {"sha256": "../" + "a" * 61},
        {"upload": "1" * 32},
        {"upload": ""},
        {"size": -1},
    ],
)
def test_what_is_no_name_is_refused(changes: dict[str, Any]) -> None:
    error = refused(spec(**changes))
    assert error.reason == "INVALID_FIELD"
    assert error.field == "spec.payload_blob"


def test_one_that_is_too_large_is_refused_with_the_limit() -> None:
    error = refused(spec(size=11), max_blob=10)
    assert (error.reason, error.field) == ("PAYLOAD_TOO_LARGE", "spec.payload_blob.size")
    assert error.metadata["limit"] == "10"


def test_a_payload_is_in_one_place() -> None:
    both = spec()
    both.python.pickle = b"x"
    none = spec()
    none.python.ClearField("pickle")
    input_ = command()
    input_.command.stdin = b"x"
    for message in (both, none, input_):
        assert refused(message).field == "spec.payload_blob"


def test_schedules_and_jobs_take_none() -> None:
    check = SpecCheck(max_blob=1 << 30)
    schedule = schedule_pb2.ScheduleSpec(cron="* * * * *", task=spec())
    with pytest.raises(QuorateError, match="schedule"):
        schedules.spec(check, job, ScheduleName("s"), schedule, NOW, NOW)
    with pytest.raises(QuorateError, match="not allowed in a job"):
        job(job_pb2.JobSpec(template=spec(), count=3), check, NOW)


def test_an_agent_reads_the_name_of_the_payload() -> None:
    def work(message: task_pb2.TaskSpec) -> Any:
        assignment = node_agent_pb2.Assignment(
            task_id="0" * 32, attempt=1, spec=message.SerializeToString()
        )
        return attempt_of(assignment).work

    call = work(spec())
    assert (call.kind, call.arguments) == ("pickle-blob", BLOB.text)
    assert work(command()).large_input == BLOB.text


@pytest.mark.parametrize("kind", ["json", "pickle"])
def test_a_large_result_is_named_in_the_report(kind: Any) -> None:
    message = node_agent_pb2.AttemptFinished()
    put_outcome(message, Outcome(Result(f"{kind}-blob", BLOB.text)))  # type: ignore[arg-type]
    assert message.result.WhichOneof("value") == kind
    assert (message.result.blob.sha256, message.result.blob.size) == (BLOB.sha256, BLOB.size)


def test_a_worker_can_only_name_what_is_well_formed() -> None:
    (packet,) = packets_of(1, 1.0, 0.0, ("pickle-blob", BLOB.text))
    reply = Reader().read(packet)
    assert reply is not None
    assert reply[3] == ("pickle-blob", BLOB.text)
    for text in ("", "../" * 30, BLOB.text + "0" * 200, "\udc80"):
        (packet,) = packets_of(1, 1.0, 0.0, ("json-blob", text))
        with pytest.raises(Malformed):
            Reader().read(packet)


def test_a_worker_puts_large_results_into_the_store(tmp_path: Path) -> None:
    values = WorkerValues(f"file://{tmp_path}", 100)
    kind, text = values.keep("json", b'"abc"')
    assert kind == "json-blob"
    assert values.open(kind, text) == ("json", '"abc"')
    assert values.keep("pickle", b"x" * 101)[1] == "RESULT_TOO_LARGE"
    kind_of, why, message, *_ = WorkerValues("", 100, 10).keep("json", b"x" * 11)
    assert (kind_of, why) == ("error", "RESULT_TOO_LARGE")
    assert "the limit is 10" in message
    assert "--blob-url" in message
    gone = WorkerValues(f"file://{tmp_path}/gone", 100)
    assert gone.keep("pickle", b"x")[1] == "BLOB_STORE_UNAVAILABLE"
    for store in (gone, WorkerValues("", 100)):
        with pytest.raises(Problem) as raised:
            store.open(kind, text)
        assert raised.value.kind == "BLOB_STORE_UNAVAILABLE"


def large() -> tuple[task_pb2.TaskSpec, Held]:
    held = Held(LIMIT)
    message = task_pb2.TaskSpec()
    message.python.entrypoint = "m:f"
    message.python.pickle = held.keep(b"x" * (LIMIT + 1))
    return message, held


def test_a_client_asks_for_the_store_only_when_it_needs_it(tmp_path: Path) -> None:
    asked = 0

    def cluster() -> cluster_pb2.Cluster:
        nonlocal asked
        asked += 1
        return cluster_pb2.Cluster(blob_url=f"file://{tmp_path}", max_blob_bytes=LIMIT * 2)

    values = LargeValues(cluster)
    assert values.fit(task_pb2.TaskSpec(name="small"), LIMIT) > 0
    assert asked == 0
    for _ in range(2):
        message, held = large()
        assert values.fit(message, LIMIT, held) < 500
        assert message.python.WhichOneof("arguments") == "pickle"
    assert asked == 1
    assert len(list(tmp_path.glob("*/*"))) == 1
    with values.get(message.payload_blob) as file:
        assert file.read() == b"x" * (LIMIT + 1)
    held = Held(LIMIT)
    message.python.pickle = held.keep(b"x" * (LIMIT * 2 + 1))
    with pytest.raises(PayloadTooLarge, match="--max-blob-mib"):
        values.fit(message, LIMIT, held)


@pytest.mark.parametrize("url", ["", "ssh://host/folder"])
def test_a_client_writes_nowhere_else(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUORATE_BLOB_URL", raising=False)
    values = LargeValues(lambda: cluster_pb2.Cluster(blob_url=url))
    with pytest.raises(LargeValueError if url else PayloadTooLarge):
        values.fit(*(large()[0], LIMIT, large()[1]))


async def test_an_asyncio_client_does_the_same(tmp_path: Path) -> None:
    async def cluster() -> cluster_pb2.Cluster:
        return cluster_pb2.Cluster(blob_url=f"file://{tmp_path}")

    values = AsyncLargeValues(cluster)
    message, held = large()
    assert await values.fit(message, LIMIT, held) < 500
    with await values.get(message.payload_blob) as file:
        assert file.read() == b"x" * (LIMIT + 1)
    BlobStore(f"file://{tmp_path}").delete(
        [(message.payload_blob.sha256, message.payload_blob.upload)]
    )
    with pytest.raises(LargeValueError) as raised:
        await values.get(message.payload_blob)
    assert raised.value.reason == "BLOB_NOT_FOUND"
