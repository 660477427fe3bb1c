"""Feeds: snapshot first, then deltas; what slow and returning subscribers are told."""

from __future__ import annotations

import json

from gateway.live import limits
from gateway.live.cluster.entries import Entry, Specs, remember
from gateway.live.cluster.journal import Journal
from gateway.live.cluster.tokens import Token
from gateway.live.messages.filters import NameFilter, TaskFilter
from gateway.live.topics.keyed import Entities, KeyedFeed
from gateway.live.topics.taskfeed import TaskFeed
from quorate.v1 import task_pb2
from tests.support.live import Seat, created, deleted, ids, task_id, updated

RUNNING = task_pb2.TASK_STATE_RUNNING


class World:
    """A journal, and feeds on it."""

    def __init__(self):
        self.journal = Journal()
        self.specs = Specs()
        self.journal.begin(Token(0, "t0"))
        self.revision = 0
        self.batches = 0

    def happen(self, *events):
        entries = []
        for event in events:
            self.revision += 1
            event.revision = self.revision
            remember(event, self.specs)
            entries.append(Entry(event))
        self.batches += 1
        self.journal.append(entries, f"t{self.batches}")

    def feed(self, *, tasks=(), more=False, **wanted):
        feed = TaskFeed(TaskFilter(**wanted), self.journal, self.specs)
        feed.begin()
        assert feed.load([event.task for event in tasks], self.journal.head, more=more)
        return feed


def sit(feed):
    seat = Seat()
    feed.subscribers[seat] = None
    feed.serve()
    return seat


def test_snapshot_comes_first_then_deltas_with_revision_and_token():
    world = World()
    feed = world.feed(tasks=[created(1), created(2)])
    seat = sit(feed)
    world.happen(created(3), updated(1, "RUNNING"))
    feed.publish(0.0)
    first, second = seat.told
    assert (first["kind"], ids(first["items"])) == ("snapshot", [2, 1])
    assert first["resume"] == "0~t0"
    assert (second["kind"], second["revision"], second["resume"]) == ("delta", "2", "2~t1")
    assert ids(second["changed"]) == [3, 1]
    assert second["changed"][1]["spec"]["name"] == "task 1"
    assert second["removed"] == []


def test_only_the_newest_version_of_a_task_is_told():
    world = World()
    feed = world.feed()
    seat = sit(feed)
    world.happen(created(1))
    world.happen(updated(1, "RUNNING"))
    world.happen(updated(1, "SUCCEEDED"), deleted(2))
    feed.publish(0.0)
    assert len(seat.told) == 2
    delta = seat.told[1]
    assert [item["state"] for item in delta["changed"]] == ["TASK_STATE_SUCCEEDED"]
    assert delta["removed"] == [task_id(2)]


def test_nothing_is_told_of_what_was_not_asked_for():
    world = World()
    feed = world.feed(queue="mine")
    seat = sit(feed)
    world.happen(created(1, queue="other"))
    feed.publish(0.0)
    assert len(seat.told) == 1
    world.happen(created(2, queue="mine"))
    feed.publish(0.0)
    assert ids(seat.told[1]["changed"]) == [2]


def test_a_slow_subscriber_gets_a_snapshot_of_the_end_and_costs_others_nothing():
    world = World()
    feed = world.feed()
    slow, quick = sit(feed), sit(feed)
    slow.slow = True
    for number in range(1, 6):
        world.happen(created(number))
        feed.publish(0.0)
    assert len(quick.told) == 6
    assert len(slow.told) == 1
    assert slow.awaits_snapshot
    slow.slow = False
    feed.serve()
    assert ids(slow.told[1]["items"]) == [5, 4, 3, 2, 1]
    world.happen(updated(5, "RUNNING"))
    feed.publish(0.0)
    assert slow.told[2] == quick.told[6]
    assert len(slow.told) == 3


def test_a_task_that_stops_matching_is_removed_if_it_was_told():
    world = World()
    feed = world.feed(states=frozenset([RUNNING]))
    seat = sit(feed)
    world.happen(updated(1, "RUNNING"), updated(2, "SUCCEEDED"))
    feed.publish(0.0)
    assert (ids(seat.told[1]["changed"]), seat.told[1]["removed"]) == ([1], [])
    world.happen(updated(1, "SUCCEEDED"), updated(3, "FAILED"))
    feed.publish(0.0)
    assert (seat.told[2]["changed"], seat.told[2]["removed"]) == ([], [task_id(1)])


def test_a_feed_that_told_too_many_ids_starts_over(monkeypatch):
    monkeypatch.setattr(limits, "SENT_IDS", 3)
    world = World()
    feed = world.feed(states=frozenset([RUNNING]))
    seat = sit(feed)
    world.happen(*(updated(n, "RUNNING") for n in range(5)))
    feed.publish(0.0)
    world.happen(updated(9, "RUNNING"))
    feed.publish(0.0)
    assert seat.awaits_snapshot
    assert not feed.loaded


def test_labels_of_unknown_tasks_are_asked_for_and_then_judged():
    world = World()
    feed = world.feed(labels=frozenset([("team", "a")]))
    seat = sit(feed)
    world.happen(created(1, team="a"), created(2, team="b"), updated(3, "RUNNING"))
    feed.publish(0.0)
    assert ids(seat.told[1]["changed"]) == [1]
    assert feed.unresolved == {task_id(3)}
    feed.unresolved.clear()
    world.specs.put(created(3, team="a").task)
    feed.recheck([task_id(3)])
    feed.publish(0.0)
    assert ids(seat.told[2]["changed"]) == [3]
    assert feed.unresolved == set()


def test_what_was_flushed_during_a_listing_is_folded_over_it():
    world = World()
    feed = world.feed(states=frozenset([RUNNING]))
    mark = world.journal.head
    world.happen(updated(1, "SUCCEEDED"), updated(3, "RUNNING"))
    feed.publish(0.0)
    # Not flushed yet: what the listing has of it stands until then.
    world.happen(updated(4, "SUCCEEDED"))
    listed = [updated(n, "RUNNING").task for n in (1, 2, 4)]
    assert feed.load(listed, mark, more=False)
    seat = sit(feed)
    assert ids(seat.told[0]["items"]) == [4, 3, 2]
    feed.publish(0.0)
    assert seat.told[1]["removed"] == [task_id(4)]


def test_a_listing_is_refused_when_what_happened_since_is_forgotten():
    world = World()
    feed = world.feed()
    mark = world.journal.head
    world.journal.begin(Token(0, "u0"))
    feed.begin()
    assert not feed.load([created(1).task], mark, more=False)
    assert not feed.loaded


def test_the_window_keeps_the_newest_and_is_loaded_again_when_it_wore_thin():
    world = World()
    feed = world.feed(tasks=[created(n) for n in range(8)], more=True, limit=8)
    seat = sit(feed)
    world.happen(*(created(n) for n in range(8, 12)))
    feed.publish(0.0)
    late = sit(feed)
    assert ids(late.told[0]["items"]) == [11, 10, 9, 8, 7, 6, 5, 4]
    assert feed.loaded
    world.happen(*(deleted(n) for n in range(6, 12)))
    feed.publish(0.0)
    assert len(seat.told[-1]["removed"]) == 6
    assert not feed.loaded


def test_a_snapshot_is_cut_to_a_frame_and_a_large_delta_becomes_one(monkeypatch):
    monkeypatch.setattr(limits, "FRAME", 500)
    world = World()
    feed = world.feed()
    seat = sit(feed)
    world.happen(*(created(n) for n in range(20)))
    feed.publish(0.0)
    assert len(seat.told) == 1
    assert seat.awaits_snapshot
    feed.serve()
    assert seat.told[1]["kind"] == "snapshot"
    assert ids(seat.told[1]["items"]) == [19, 18, 17, 16]


def test_what_was_missed_is_told_exactly():
    world = World()
    feed = world.feed()
    world.happen(created(1), created(2))
    feed.publish(0.0)
    position = world.journal.position_of(Token(2, "t1"))
    world.happen(updated(1, "RUNNING"))
    world.happen(updated(1, "SUCCEEDED"), deleted(2))
    feed.publish(0.0)
    world.happen(created(3))
    told = json.loads(b'{"id":"x",' + feed.missed(position, ()))
    # What is not flushed yet follows with everybody's next delta.
    assert ids(told["changed"]) == [1]
    assert told["removed"] == [task_id(2)]
    assert told["resume"] == "5~t3"


def test_what_another_gateway_told_is_merged_by_revision():
    world = World()
    feed = world.feed()
    position = world.journal.head
    old, new = updated(1, "RUNNING"), updated(2, "SUCCEEDED")
    old.revision, new.revision = 3, 9
    world.revision = 4
    world.happen(updated(1, "SUCCEEDED"), updated(2, "RUNNING"))
    feed.publish(0.0)
    told = json.loads(b'{"id":"x",' + feed.missed(position, [Entry(old), Entry(new)]))
    assert {i["state"] for i in told["changed"]} == {"TASK_STATE_SUCCEEDED"}
    assert len(told["changed"]) == 2


def test_too_much_missed_is_a_snapshot():
    world = World()
    world.journal = Journal(most=3)
    world.journal.begin(Token(0, "t0"))
    feed = world.feed()
    position = world.journal.head
    for number in range(9):
        world.happen(created(number))
    assert feed.missed(position, ()) is None
    seat = sit(feed)
    feed.publish(0.0)
    assert seat.awaits_snapshot


def test_a_quiet_feed_renews_the_token_once_a_minute():
    world = World()
    feed = world.feed(queue="mine")
    seat = sit(feed)
    for second in range(0, 130, 10):
        world.happen(created(second, queue="other"))
        feed.publish(float(second))
    deltas = seat.told[1:]
    assert [d["changed"] for d in deltas] == [[], []]
    assert deltas[-1]["resume"] == "13~t13"


def test_joining_subscribers_are_told_nothing_yet():
    world = World()
    feed = world.feed()
    seat = sit(feed)
    seat.joining = True
    world.happen(created(1))
    feed.publish(0.0)
    feed.restart()
    feed.serve()
    assert len(seat.told) == 1


def test_keyed_feeds_tell_differences_of_what_is_wanted():
    entities = Entities()
    feed = KeyedFeed("queues", NameFilter(frozenset("ab")), entities)
    assert not feed.loaded
    assert entities.replace({"a": b"1", "c": b"1"}) == {"a", "c"}
    seat = sit(feed)
    assert seat.told[0]["items"] == [1]
    feed.note(entities.replace({"a": b"2", "b": b"1", "c": b"2"}))
    feed.publish(0.0)
    assert (seat.told[1]["changed"], seat.told[1]["removed"]) == ([2, 1], [])
    assert not feed.note(entities.replace({"a": b"2", "b": b"1", "c": b"3"}))
    feed.note(entities.update({}, ["a", "nobody"]))
    feed.publish(0.0)
    assert (seat.told[2]["changed"], seat.told[2]["removed"]) == ([], ["a"])
    feed.publish(0.0)
    assert len(seat.told) == 3
