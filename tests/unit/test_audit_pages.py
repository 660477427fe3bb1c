"""Pages of the audit log: how much is read for one, and what a filter costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.security import identity
from quorate.security.identity import Caller, How, Role
from quorate.v1 import scheduler_pb2, service_pb2
from scheduler.api.cluster import audit_log
from scheduler.api.cluster.audit_log import AuditLog
from scheduler.api.origin import origin_of
from scheduler.api.services.changes import changes
from scheduler.config import SchedulerSettings
from scheduler.core.model.effects import PutAudit
from scheduler.core.model.state import State
from scheduler.core.values import Change, Origin
from scheduler.storage.reads import FencedReads
from scheduler.storage.records import audit as audit_records

PREFIX = b"/quorate/test/"
LEADER = PREFIX + b"election/scheduler/1"
pb = scheduler_pb2


class Reading(MemoryEtcd):
    """Counts the keys of every answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int] = []

    async def txn(self, *args: Any, **options: Any) -> Any:
        found = await super().txn(*args, **options)
        self.answers.append(sum(len(result.kvs) for result in found.ranges))
        return found


class Desk:
    """A log of `size` entries, one a second; every tenth is bob's."""

    def __init__(self, etcd: Reading, epoch: int, size: int) -> None:
        self.etcd = etcd
        self.size = size
        self.state = State()
        driver: Any = SimpleNamespace(state=self.state, readable=self._barrier)
        self.log = AuditLog(driver, FencedReads(etcd, PREFIX, LEADER, epoch, 128))
        self.barriers = 0

    async def _barrier(self) -> int:
        self.barriers += 1
        return 1

    async def fill(self) -> None:
        for number in range(1, self.size + 1):
            name = "bob" if number % 10 == 0 else "alice"
            origin = Origin(name, "operator", "token", "", "quorate.v1.Scheduler/PauseQueue")
            entry = number * 1_000_000
            record = audit_records.record(PutAudit(entry, origin, "", "queue", "q", "", ()))
            await self.etcd.put(PREFIX + audit_records.key_of(entry), record.SerializeToString())
            self.state.audit.add(entry)

    async def page(self, **request: Any) -> tuple[list[int], str]:
        """The seconds of a page's entries, and the next page's token."""
        answer = await self.log.page(pb.ListAuditEntriesRequest(**request))
        return [entry.time.seconds for entry in answer.entries], answer.next_page_token

    async def pages(self, **request: Any) -> list[list[int]]:
        found, token = await self.page(**request)
        pages = [found]
        while token:
            found, token = await self.page(page_token=token, **request)
            pages.append(found)
        return pages


@pytest.fixture
async def desk() -> Desk:
    etcd = Reading()
    desk = Desk(etcd, await etcd.put(LEADER, b""), 60)
    await desk.fill()
    return desk


async def test_a_page_reads_no_more_than_it_shows_where_nothing_is_filtered(desk: Desk):
    desk.etcd.answers.clear()
    found, token = await desk.page(page_size=7)
    assert found == [60, 59, 58, 57, 56, 55, 54]
    assert token
    assert desk.etcd.answers == [7]


async def test_pages_follow_each_other_without_gap_or_repeat(desk: Desk):
    for size in (1, 7, 20, 60, 1000):
        pages = await desk.pages(page_size=size)
        assert [one for page in pages for one in page] == list(range(60, 0, -1))
        assert len(pages) == -(-60 // size)
    assert await desk.pages(caller="bob", page_size=2) == [[60, 50], [40, 30], [20, 10], []]


async def test_a_page_of_long_entries_fits_into_a_message(desk: Desk):
    long = tuple(Change(f"field{number}", "x" * 250, "y" * 250) for number in range(16))
    origin = Origin("alice", "operator", "token", "", "quorate.v1.ServiceRegistry/UpdateService")
    for number in range(61, 601):
        entry = number * 1_000_000
        record = audit_records.record(PutAudit(entry, origin, "", "service", "s", "", long))
        await desk.etcd.put(PREFIX + audit_records.key_of(entry), record.SerializeToString())
        desk.state.audit.add(entry)
    for caller in ("", "alice"):
        found: list[int] = []
        token = ""
        while True:
            request = pb.ListAuditEntriesRequest(page_size=1000, page_token=token, caller=caller)
            answer = await desk.log.page(request)
            # What a gRPC client receives, unless it is told otherwise.
            assert answer.ByteSize() < 4 << 20
            found += [entry.time.seconds for entry in answer.entries]
            token = answer.next_page_token
            if not token:
                break
        bobs = range(10, 61, 10) if caller else ()
        assert found == [number for number in range(600, 0, -1) if number not in bobs]


async def test_a_page_ends_after_a_bounded_number_of_looks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit_log, "SCAN", 12)
    monkeypatch.setattr(audit_log, "AT_ONCE", 4)
    pages = await desk.pages(caller="bob")
    assert pages == [[60, 50], [40], [30], [20], [10]]
    assert max(desk.etcd.answers) == 4
    assert await desk.pages(caller="nobody") == [[]] * 5


async def test_the_bounds_of_time_are_looked_up_and_not_scanned(desk: Desk):
    desk.etcd.answers.clear()
    found = await desk.page(since={"seconds": 30}, until={"seconds": 33}, caller="operator:alice")
    assert found == ([32, 31], "")
    assert desk.etcd.answers == [3]
    # Between two microseconds there is nothing: up, for both.
    assert (await desk.page(since={"seconds": 60, "nanos": 1}))[0] == []
    assert (await desk.page(since={"seconds": 60}))[0] == [60]
    assert (await desk.page(until={"seconds": 1, "nanos": 1}))[0] == [1]


async def test_what_retention_took_meanwhile_is_left_out(desk: Desk):
    found, token = await desk.page(page_size=10)
    assert found[-1] == 51
    desk.state.audit.drop(45)
    assert await desk.page(page_size=10, page_token=token) == ([50, 49, 48, 47, 46], "")
    await desk.etcd.delete(PREFIX + audit_records.key_of(60_000_000))
    assert (await desk.page(page_size=3))[0] == [59, 58, 57]


async def test_every_page_is_behind_a_barrier_and_fenced(desk: Desk):
    await desk.page()
    assert desk.barriers == 1
    await desk.etcd.delete(LEADER)
    with pytest.raises(QuorateError, match="the leader was lost"):
        await desk.page()


# -- what is told


def test_services_tell_numbers_and_name_the_rest():
    old = service_pb2.ServiceSpec(replicas=1, labels={"a": "1"})
    new = service_pb2.ServiceSpec(replicas=3, labels={"a": "secret"})
    new.command.argv.append("secret")
    new.drain_grace.FromMilliseconds(1_500)
    assert changes(old, new) == (
        Change("command"),
        Change("replicas", "1", "3"),
        Change("labels"),
        Change("drain_grace", "", "1.5s"),
    )
    assert changes(new, new) == ()


class Connection:
    """What gRPC says of a call."""

    def __init__(self, peer: str, name: bytes = b"", **metadata: str) -> None:
        self._peer = peer
        self._name = name
        self._metadata = {key.replace("_", "-"): value for key, value in metadata.items()}

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._metadata.items())

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_common_name": [self._name]} if self._name else {}


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("ipv4:10.0.0.1:5", "10.0.0.1:5"),
        ("ipv6:%5B::1%5D:5", "[::1]:5"),
        ("", ""),
        ("unix:" + "x" * 500, "x" * 128),
    ],
)
def test_addresses_are_told_as_people_write_them(peer: str, shown: str):
    found = origin_of(pb.PauseQueueRequest(), Connection(peer))
    assert found == ("anonymous", "", "", shown, "quorate.v1.Scheduler/PauseQueue")


@pytest.mark.parametrize(
    ("caller", "certificate", "peer"),
    [
        (None, b"", "1.1.1.1:1"),
        (Caller("olga", Role.OPERATOR, How.TOKEN), b"scheduler:s2", "1.1.1.1:1"),
        (Caller("olga", Role.OPERATOR, How.TOKEN), b"gateway:g1", "2.2.2.2:2"),
        (Caller("olga", Role.OPERATOR, How.TOKEN), b"", "2.2.2.2:2"),
    ],
)
def test_whose_word_counts_for_where_a_call_came_from(
    monkeypatch: pytest.MonkeyPatch, caller: Caller | None, certificate: bytes, peer: str
):
    monkeypatch.setattr("scheduler.api.origin.current_caller", lambda: caller)
    context = Connection(
        "ipv4:2.2.2.2:2", certificate, quorate_forwarded="1", quorate_peer="ipv4:1.1.1.1:1"
    )
    assert origin_of(pb.PauseQueueRequest(), context).peer == peer
    # Not said to be passed on.
    alone = Connection("ipv4:2.2.2.2:2", certificate, quorate_peer="ipv4:1.1.1.1:1")
    assert origin_of(pb.PauseQueueRequest(), alone).peer == "2.2.2.2:2"
    assert identity.current_caller() is None


# -- settings


@pytest.mark.parametrize(
    ("flag", "good", "bad"),
    [
        ("audit_keep", (0, 1_000_000), (-1, 1_000_001)),
        ("audit_keep_for", (60, 3650 * 86_400), (59, 0, -1, 3650 * 86_400 + 1)),
    ],
)
def test_the_bounds_of_what_is_kept(flag: str, good: tuple[int, ...], bad: tuple[int, ...]):
    def settings(value: int) -> SchedulerSettings:
        return SchedulerSettings(_cli_parse_args=[], **{flag: value})  # type: ignore[call-arg, arg-type]

    for value in good:
        assert getattr(settings(value), flag) == value
    for value in bad:
        with pytest.raises(ValidationError, match=flag):
            settings(value)
