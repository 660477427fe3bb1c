"""One sub-log: acknowledgements, deliveries on record, their bounds, merging, memory."""

from __future__ import annotations

import tracemalloc
from math import inf

import pytest

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import messages_pb2
from scheduler.core.broker.storage import merging
from scheduler.core.broker.storage.format import BadChunk, Summary
from scheduler.core.broker.storage.index import ChunkIndex
from scheduler.core.broker.storage.places import DELAYED, of_priority
from scheduler.core.broker.storage.records import (
    MOST_ACKS_BYTES,
    Acks,
    Change,
    ChunkDone,
    DeleteChunks,
    PutAcks,
    PutChunkDone,
)
from scheduler.core.broker.storage.sub_log import MOST_SMALL, SubLog
from scheduler.storage import keys
from scheduler.storage.records.broker import codec
from scheduler.storage.records.broker.acks import acks_of, acks_value, chunk_done_of
from tests.support.sub_logs import NOW, QUEUE, Chunks, alive_in, kinds

PLACE = keys.message_sub_log(b"/q/c/", QUEUE, DELAYED)


def test_a_message_is_alive_from_its_commit_to_its_acknowledgement() -> None:
    chunks = Chunks()
    log = chunks.log
    assert log.reserve(3) == 0
    assert not chunks.ack((0, 2)).writes, "what is not committed cannot be acknowledged"
    log.committed(Summary(0, 2, 3, 100, inf, NOW))
    assert alive_in(log) == {0: 0, 1: 0, 2: 0}
    change = chunks.ack(1)
    assert (change.changed, kinds(change.writes)) == (1, ["PutAcks"])
    assert (alive_in(log), log.cursor) == ({0: 0, 2: 0}, 0)
    assert chunks.ack(1) == Change(), "a repeated acknowledgement does nothing"
    change = chunks.ack((0, 9))
    assert (change.changed, log.cursor, log.tail, len(log.chunks)) == (2, 3, 3, 0)
    assert change.writes[0] == DeleteChunks(0, 2, False) or change.writes[0] == DeleteChunks(
        0, 0, False
    )


def test_chunks_next_to_each_other_go_in_one_deletion() -> None:
    chunks = Chunks()
    for _ in range(7):
        chunks.publish(2)
    change = chunks.ack((0, 7), (10, 11))
    assert change.writes[:2] == (DeleteChunks(0, 6, False), DeleteChunks(10, 10, False))
    encoded = codec.encode(PLACE, change.writes)
    assert encoded.writes == [
        Delete(PLACE + b"c/000000000000", PLACE + b"c/000000000006\0"),
        Delete(PLACE + b"c/00000000000a"),
    ]
    assert len(encoded.additions) == 1


def test_a_few_chunks_go_one_by_one_so_that_the_journal_joins_their_deletion_with_others() -> None:
    chunks = Chunks()
    for _ in range(5):
        chunks.publish(2)
    change = chunks.ack((0, 5))
    assert kinds(change.writes) == ["DeleteChunks"] * 3 + ["PutAcks"]
    encoded = codec.encode(PLACE, change.writes)
    assert not any(isinstance(one, Delete) and one.range_end for one in encoded.writes)


def test_what_came_back_keeps_its_place_and_its_deliveries_until_it_is_done() -> None:
    chunks = Chunks()
    chunks.publish(4)
    change = chunks.log.give_back([(2, 1), (3, 5), (9, 1)], NOW)
    assert change.changed == 2
    assert alive_in(chunks.log) == {0: 0, 1: 0, 2: 1, 3: 5}
    assert not chunks.log.give_back([(2, 1)], NOW).writes
    chunks.ack(2)
    assert chunks.log.deliveries(2) == 0
    assert chunks.log.deliveries(3) == 5


@pytest.mark.parametrize("distance", [2, 5, 1_000])
def test_acks_stay_within_4_kib_and_256_runs_however_they_come(distance: int) -> None:
    chunks = Chunks()
    for _ in range(30):
        chunks.publish(1_000)
    own = 0
    for first in range(0, 30_000, 500):
        span = range(first, first + 500, distance)
        change = chunks.ack(*[n + 1 for n in span])
        chunks.log.give_back([(n, 3) for n in span], NOW)
        for write in change.writes:
            own += isinstance(write, PutChunkDone)
            if isinstance(write, PutAcks):
                assert len(acks_value(write.acks)) <= write.acks.weight <= MOST_ACKS_BYTES
                assert sum(done.runs for done in write.acks.chunks) <= 256
    assert (own > 0) == (distance < 1_000)
    assert chunks.log.alive == 30_000 - 60 * len(range(0, 500, distance))


def test_without_space_the_deletions_are_the_acknowledgement_and_the_newest_chunk_stays() -> None:
    chunks = Chunks()
    chunks.publish(2)
    chunks.publish(2)
    change = chunks.ack((0, 3), space=False)
    deletes, waiting = codec.encode_without_space(PLACE, change.writes)
    assert deletes == [Delete(PLACE + b"c/000000000000")]
    assert (waiting.writes, len(waiting.additions)) == ([], 1)
    assert (chunks.log.alive, len(chunks.log.chunks), chunks.log.cursor) == (0, 1, 4)
    # A leader that finds the newest chunk alone gives none of its sequences again.
    found = SubLog()
    codec.fold(found, PLACE, PLACE + b"c/000000000002", chunks.values[2])
    found.settle()
    assert (found.next, found.alive) == (4, 2)
    chunks.publish(1)
    assert kinds(chunks.ack(4).writes) == ["DeleteChunks", "DeleteChunks", "PutAcks"]
    assert len(chunks.log.chunks) == 0


def test_a_stream_is_trimmed_by_age_and_by_bytes() -> None:
    chunks = Chunks()
    for _ in range(5):
        chunks.publish(10, size=1_000)
    assert not chunks.log.trim(NOW, 10**9, NOW).writes
    size = chunks.log.chunks.at(0).size
    change = chunks.log.trim(0.0, 3 * size, NOW)
    assert (change.changed, change.writes[0]) == (20, DeleteChunks(0, 10, False))
    assert (chunks.log.cursor, chunks.log.alive) == (20, 30)
    assert chunks.log.trim(NOW + 1, 10**9, NOW).changed == 20, "the newest stays"


def test_small_chunks_in_a_row_are_merged_and_keep_their_sequences() -> None:
    chunks = Chunks()
    for _ in range(7):
        chunks.publish(1)
    assert merging.plan(chunks.log).firsts == (), "few are left alone"
    chunks.publish(1)
    chunks.ack(3)
    chunks.publish(1)
    chunks.log.give_back([(5, 2)], NOW)
    plan = merging.plan(chunks.log)
    assert plan.firsts == (0, 1, 2, 4, 5, 6, 7, 8)
    read = chunks.read(plan.firsts)
    chunks.ack(6)
    assert merging.merge(chunks.log, read, NOW) is None, "one of them is gone"
    change = merging.merge(chunks.log, [one for one in read if one[0] < 6], NOW)
    assert change is not None
    assert kinds(change.writes) == ["PutChunk", "DeleteChunks", "PutAcks"]
    assert alive_in(chunks.log) == {0: 0, 1: 0, 2: 0, 4: 0, 5: 2, 7: 0, 8: 0}
    assert list(chunks.log.chunks.firsts) == [0, 7, 8]
    assert chunks.log.find(3) == -1
    assert chunks.log.find(4) == 0


def test_chunks_in_front_that_went_while_they_were_read_are_left_out_of_a_merge() -> None:
    """A full queue loses its oldest messages all the time."""
    chunks = Chunks()
    for _ in range(12):
        chunks.publish(1)
    read = chunks.read(merging.plan(chunks.log).firsts)
    chunks.ack(0, 1, 2)
    change = merging.merge(chunks.log, read, NOW)
    assert change is not None
    assert change.changed == 9
    assert list(chunks.log.chunks.firsts) == [3]
    chunks = Chunks()
    for _ in range(12):
        chunks.publish(1)
    read = chunks.read(merging.plan(chunks.log).firsts)
    chunks.ack((0, 5))
    assert merging.merge(chunks.log, read, NOW) is None, "few are left alone"
    chunks.ack((6, 11))
    assert merging.merge(chunks.log, read, NOW) is None


@pytest.mark.parametrize(("done", "planned"), [(750, ()), (751, (0,))])
def test_a_chunk_is_rewritten_when_less_than_a_quarter_is_alive(done: int, planned: tuple) -> None:
    chunks = Chunks()
    chunks.publish(1_000)
    chunks.publish(1_000)
    chunks.ack((0, done - 1))
    assert merging.plan(chunks.log).firsts == planned
    if planned:
        change = merging.merge(chunks.log, chunks.read(planned), NOW)
        assert change is not None
        chunks.keep(change)
        assert list(chunks.log.chunks.firsts) == [done, 1_000]
        assert chunks.log.done(done) == 0
        chunks.ack(done)
        assert chunks.log.cursor == done + 1


def test_a_plan_looks_at_a_bounded_number_of_chunks_and_goes_on_there() -> None:
    chunks = Chunks()
    for _ in range(1_500):
        chunks.publish(300)
    assert merging.plan(chunks.log) == ((), 300_000)
    assert merging.plan(chunks.log, 300_000) == ((), 0)


def test_publishing_waits_when_too_many_small_chunks_wait_to_be_merged() -> None:
    log = SubLog()
    for first in range(MOST_SMALL + 1):
        assert not log.crowded
        log.reserve(1)
        log.committed(Summary(first, first, 1, 100, inf, NOW))
    assert log.crowded


def test_the_index_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        index = ChunkIndex()
        for first in range(20_000):
            index.put(Summary(first, first, 1, 100, inf, NOW))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / len(index) < 60


def test_records_that_make_no_sense_are_read_within_bounds() -> None:
    record = messages_pb2.MessageChunkDoneRecord(
        first=5,
        done=b"\xff" * 10_000,
        runs=[4_000_000_000, 4_000_000_000, 3],
        returned=[1, 2_000_000_000, 4_000_000_000, 1, 7],
    )
    done = chunk_done_of(record.SerializeToString())
    assert done.done.bit_length() == 1_024
    assert done.returned == ((1, (1 << 21) - 1),)
    log = Chunks()
    log.publish(3)
    log.log.fold_acks(Acks(cursor=1, chunks=(ChunkDone(0, 1 << 900 | 0b100, ((7, 1), (2, 1))),)))
    log.log.settle()
    assert alive_in(log.log) == {1: 0}


def test_what_a_later_version_wrote_into_acks_is_kept() -> None:
    later = Acks(
        cursor=1, chunks=(ChunkDone(0, 1, unknown=b"\xa2\x06\x01y"),), unknown=b"\xa2\x06\x01x"
    )
    chunks = Chunks()
    chunks.publish(3)
    chunks.log.fold_acks(acks_of(acks_value(later)))
    chunks.log.settle()
    (write,) = chunks.ack(1).writes
    assert isinstance(write, PutAcks)
    again = acks_of(acks_value(write.acks))
    assert (again.unknown, again.chunks[0].unknown) == (later.unknown, later.chunks[0].unknown)


def test_keys_have_a_fixed_width_and_split_into_what_they_were_made_of() -> None:
    place = keys.message_sub_log(b"/q/c/", QUEUE, of_priority(31))
    assert place == b"/q/c/mq/00000000000000a1/p31/"
    key = keys.message_chunk_key(place, 255)
    assert key == place + b"c/0000000000ff"
    assert keys.split_message_key(place, key) == (keys.CHUNK, 255)
    assert keys.split_message_key(place, keys.message_done_key(place, 1)) == (keys.CHUNK_DONE, 1)
    assert keys.split_message_key(place, keys.message_acks_key(place)) == (keys.ACKS, 0)
    for other in (b"c/ff", b"c/00000000000x", b"b/000000000000", b"", b"acks2"):
        assert keys.split_message_key(place, place + other) is None
        assert not codec.fold(SubLog(), place, place + other, b"")


def test_a_chunk_under_another_key_is_refused() -> None:
    chunks = Chunks()
    chunks.publish(3)
    with pytest.raises(BadChunk):
        codec.fold(SubLog(), PLACE, PLACE + b"c/000000000001", chunks.values[0])
    assert isinstance(codec.encode(PLACE, [PutChunkDone(ChunkDone(0, 1))]).writes[0], Put)
