"""Histories that break naive journals, against real etcd behind a network that misbehaves."""

from __future__ import annotations

import pytest

from quorate.etcd.api import Compare, Delete, EtcdUnavailable, Range
from quorate.etcd.journal.journal import Deposed, JournalError
from tests.support.fault_proxy import ErrorKind, FaultProxy
from tests.support.journal_world import World
from tests.support.term import Outcomes, ended, running


@pytest.fixture
async def proxy(etcd_server):
    async with FaultProxy(etcd_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy):
    """The leader's client: its network is the proxy."""
    async with proxy.client() as client:
        yield client


@pytest.fixture
def world(etcd_client, key_prefix):
    return World(etcd_client, key_prefix)


@pytest.fixture
def seen():
    return Outcomes()


async def test_a_txn_that_arrives_after_its_repeat_and_its_successor_changes_nothing(
    world, proxy, far, seen
):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.DELIVER_LATER)
    async with running(journal):
        seen.append(journal, "running", world.put("run", b"RUNNING"))
        late = await proxy.next_held()
        await seen.until("running")
        seen.append(journal, "succeeded", world.put("run", b"SUCCEEDED"))
        await seen.until("running", "succeeded")
        before = await world.head()
        await late.deliver()
        assert await world.value("run") == b"SUCCEEDED"
        assert await world.head() == before
        # The leader is none the wiser, and goes on.
        seen.append(journal, "next", world.put("other"))
        await seen.until("running", "succeeded", "next")
    assert journal.sequence == 3


async def test_the_epoch_alone_would_let_that_txn_through(world, proxy, far):
    """Why the second compare is there: the history above, with a naive journal."""
    key = world.prefix + b"election/scheduler/a"
    epoch = await world.store.put(key, b"")
    leads = Compare(key, "create", "=", epoch)
    proxy.script("Txn", ErrorKind.DELIVER_LATER)
    with pytest.raises(EtcdUnavailable):
        await far.txn([leads], [world.put("run", b"RUNNING")])
    late = await proxy.next_held()
    await far.txn([leads], [world.put("run", b"RUNNING")])
    await far.txn([leads], [world.put("run", b"SUCCEEDED")])
    await late.deliver()
    assert await world.value("run") == b"RUNNING"


@pytest.mark.parametrize(
    ("fault", "applied_before"),
    [
        (ErrorKind.DROP_REPLY, True),
        (ErrorKind.BREAK_REPLY, True),
        (ErrorKind.DROP_REQUEST, False),
        (ErrorKind.DELIVER_LATER, False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
async def test_an_outcome_unknown_to_the_leader_is_settled_by_the_head(
    world, proxy, far, seen, fault, applied_before
):
    journal = await world.stand(far, "a")
    await journal.claim()
    calls = proxy.calls["Txn"]
    proxy.script("Txn", fault)
    # The first look at the head fails as well: nothing is answered until one succeeds.
    proxy.script("Range", ErrorKind.DROP_REQUEST)
    async with running(journal):
        seen.append(journal, "write", world.put("k"))
        await seen.until("write")
        _, sequence, mod = await world.head()
        assert seen.committed == [("write", mod)]
        assert sequence == journal.sequence == 1
        assert await world.value("k") == b"v"
        seen.append(journal, "next", world.put("k", b"w"))
        await seen.until("write", "next")
    assert proxy.calls["Txn"] - calls == (2 if applied_before else 3)
    assert journal.counters.repeats == (0 if applied_before else 1)


async def test_a_first_copy_that_overtakes_its_repeat_is_recognised(world, proxy, far, seen):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.DELIVER_LATER, ErrorKind.HOLD)
    async with running(journal):
        seen.append(journal, "write", world.put("k"))
        first, repeat = await proxy.next_held(), await proxy.next_held()
        await first.deliver()
        mod = (await world.head())[2]
        await repeat.deliver()
        await seen.until("write")
    assert seen.committed == [("write", mod)]
    assert (await world.head())[2] == mod


async def test_a_network_that_repeats_every_request_applies_each_once(world, proxy, far, seen):
    journal = await world.stand(far, "a")
    proxy.script("Txn", *[ErrorKind.DELIVER_TWICE] * 4)
    await journal.claim()
    async with running(journal):
        for name in ("1", "2", "3"):
            seen.append(journal, name, world.put("k", name.encode()))
            await journal.flush()
    read = await world.store.range(Range(world.prefix + b"k"))
    assert read.kvs[0].version == 3
    assert journal.sequence == 3


@pytest.mark.parametrize(
    "fault", [ErrorKind.DROP_REPLY, ErrorKind.DROP_REQUEST, ErrorKind.DELIVER_TWICE]
)
async def test_a_claim_whose_outcome_is_unknown_is_settled_by_the_head(world, proxy, far, fault):
    journal = await world.stand(far, "a")
    proxy.script("Txn", fault)
    revision = await journal.claim()
    _, sequence, mod = await world.head()
    assert (sequence, mod) == (0, revision)


async def test_a_reply_without_writes_waits_for_the_uncommitted_first(world, proxy, far, seen):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.HOLD, ErrorKind.HOLD)
    async with running(journal):
        seen.append(journal, "write", world.put("k"))
        write = await proxy.next_held()
        # The repeated request: it finds its answer in memory, and it is not committed yet.
        seen.append(journal, "repeat")
        assert seen.names == []
        await write.deliver()
        # The barrier of the repeat began after it: the write's own Txn would prove nothing to it.
        barrier = await proxy.next_held()
        assert seen.names == ["write"]
        await barrier.deliver()
        await seen.until("write", "repeat")
    assert journal.sequence == 1


async def test_a_reply_without_writes_is_not_given_when_the_write_before_it_is_lost(
    world, proxy, far, seen
):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.DROP_REQUEST)
    async with running(journal) as task:
        seen.append(journal, "write", world.put("k"))
        seen.append(journal, "repeat")
        await world.resign("a")
        await (await world.stand(world.store, "b")).claim()
        assert isinstance(await ended(task), Deposed)
    assert seen.names == []
    assert seen.failures == ["write", "repeat"]


@pytest.mark.parametrize(
    "fault", [ErrorKind.DELIVER_TWICE, ErrorKind.DROP_REPLY, ErrorKind.DROP_REQUEST]
)
async def test_a_retention_txn_may_arrive_more_than_once(world, proxy, far, seen, fault):
    journal = await world.stand(far, "a")
    await journal.claim()
    async with running(journal):
        seen.append(journal, "finished", world.put("x1"), world.put("x2"), world.put("y"))
        await journal.flush()
        before = await world.head()
        proxy.script("Txn", fault)
        whole = Delete(world.prefix + b"x", world.prefix + b"y")
        seen.purge(journal, "purge", whole)
        await seen.until("finished", "purge")
        assert await world.head() == before
        seen.append(journal, "next", world.put("z"))
        await seen.until("finished", "purge", "next")
    assert await world.value("x1") is None
    assert await world.value("x2") is None
    assert await world.value("y") == b"v"


async def test_a_retention_txn_that_arrives_after_a_later_put_deletes_nothing(
    world, proxy, far, seen
):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.DELIVER_LATER)
    async with running(journal):
        seen.purge(journal, "purge", world.prefix + b"x")
        late = await proxy.next_held()
        seen.append(journal, "again", world.put("x", b"again"))
        await seen.until("purge", "again")
        await late.deliver()
    assert await world.value("x") == b"again"


async def test_a_refused_txn_is_a_fault_and_is_never_repeated(world, proxy, far, seen):
    """More operations than this etcd allows in a Txn: the journal was told a wrong limit."""
    journal = await world.stand(far, "a", max_txn_ops=5000)
    await journal.claim()
    calls = proxy.calls["Txn"]
    async with running(journal) as task:
        seen.append(journal, "too much", *(world.put(f"k{n}") for n in range(1100)))
        assert isinstance(await ended(task), JournalError)
    assert proxy.calls["Txn"] - calls == 1
    assert seen.failures == ["too much"]
    assert await world.value("k0") is None


async def test_a_full_batch_and_the_heaviest_event_pass_etcds_own_limits(world, far, seen):
    journal = await world.stand(far, "a")
    await journal.claim()
    for number in range(300):
        seen.append(journal, str(number), world.put(f"k{number}", b"x" * 8000))
    seen.append(journal, "heavy", world.put("heavy", b"x" * 1_499_900))
    async with running(journal):
        await journal.flush()
    assert len(seen.names) == 301
    assert journal.counters.unknown == 0
