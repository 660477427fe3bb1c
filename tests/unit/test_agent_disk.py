"""A disk that cannot be written: when a node says so, when it takes work again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node_agent.core import disk as d
from node_agent.core.disk import Disk, Probe, Shortage
from tests.support.agent_machine import SLOW, Node, call, command, names

MIB = 1 << 20
RESERVE = 64 * MIB
NO_SPACE = "No space left on device"


def probe(free: int = 1000, *, total: int = 100_000, error: str = "", full: bool = False) -> Probe:
    """Sizes in MiB."""
    return Probe(free * MIB, total * MIB, error=error, full=full)


class Watched:
    """A disk that is looked at once a second."""

    def __init__(self, reserve: int = RESERVE) -> None:
        self.disk = Disk(reserve)
        self.now = 100.0

    def look(self, found: Probe, seconds: float = 1.0) -> str:
        """Look so many times; what the node says then."""
        for _ in range(int(seconds)):
            self.now += 1.0
            self.disk.on_probed(found, wrote=self.disk.wants_write(self.now), now=self.now)
        return self.disk.error

    def fail(self, why: str = NO_SPACE, *, full: bool = True) -> None:
        self.disk.on_write_failed(why, full=full, now=self.now)

    @property
    def shortage(self) -> Shortage | None:
        return self.disk.shortage(self.now)


# -- the state machine -------------------------------------------------------------------------


def test_a_disk_with_room_is_writable_and_nothing_is_deleted() -> None:
    watched = Watched()
    assert watched.look(probe(), 100) == ""
    assert watched.shortage is None


def test_less_than_the_reserve_is_said_and_the_reason_does_not_change_with_every_look() -> None:
    watched = Watched()
    assert watched.look(probe(63)) == "less than 64 MiB free"
    assert watched.look(probe(10)) == "less than 64 MiB free"


def test_a_write_that_failed_is_enough() -> None:
    watched = Watched()
    watched.look(probe())
    watched.fail()
    assert watched.disk.error == NO_SPACE


def test_the_end_of_trouble_needs_time_a_write_and_twice_the_reserve() -> None:
    watched = Watched()
    watched.look(probe(10))
    assert watched.look(probe(120), 60), "twice the reserve is 128 MiB"
    assert watched.look(probe(130), d.HOLD_SECONDS - 1)
    assert watched.look(probe(130, error=NO_SPACE, full=True)), "there is room, and yet"
    assert watched.look(probe(130), d.HOLD_SECONDS - 1)
    assert watched.look(probe(130)) == ""


def test_a_failed_write_begins_the_time_anew() -> None:
    watched = Watched()
    watched.fail()
    for _ in range(10):
        assert watched.look(probe(), d.HOLD_SECONDS - 1)
        watched.fail()
    assert watched.look(probe(), d.HOLD_SECONDS) == ""


def test_a_disk_at_its_edge_waits_longer_each_time_up_to_a_bound() -> None:
    watched = Watched()
    waits = []
    for _ in range(8):
        watched.fail()
        waits.append(0)
        while watched.disk.error:
            watched.look(probe())
            waits[-1] += 1
    assert waits[:3] == [3, 6, 12]
    assert max(waits) == d.MAX_HOLD_SECONDS
    watched.look(probe(), d.RELAPSE_SECONDS)
    watched.fail()
    assert watched.look(probe(), d.HOLD_SECONDS) == "", "long ago is no relapse"


def test_in_trouble_each_look_writes_and_else_one_in_ten() -> None:
    watched = Watched()
    writes = 0
    for _ in range(100):
        watched.look(probe())
        writes += watched.disk.wants_write(watched.now + 1.0)
    assert writes == 100 / d.WRITE_SECONDS
    watched.fail()
    assert watched.disk.wants_write(watched.now)
    watched.look(probe())
    assert watched.disk.wants_write(watched.now)


def test_logs_are_deleted_to_three_times_the_reserve() -> None:
    watched = Watched()
    watched.look(probe(10))
    assert watched.shortage == Shortage(bytes=(192 - 10) * MIB, files=0, keep=0)


def test_logs_go_before_the_disk_is_too_full_but_not_the_newest_ones() -> None:
    watched = Watched()
    assert watched.look(probe(100)) == ""
    assert watched.shortage == Shortage(bytes=92 * MIB, files=0, keep=RESERVE)


def test_deleted_logs_end_the_trouble_at_once_however_often() -> None:
    watched = Watched()
    for _ in range(8):
        assert watched.look(probe(10))
        watched.disk.on_swept(3, watched.now)
        assert watched.look(probe(192)) == ""
    watched.look(probe(10))
    watched.disk.on_swept(3, watched.now)
    assert watched.look(probe(100)), "it has to help"
    assert watched.look(probe(192), d.HOLD_SECONDS - 1)
    assert watched.look(probe(192)) == ""
    watched.look(probe(10))
    watched.disk.on_swept(0, watched.now)
    assert watched.look(probe(192), d.HOLD_SECONDS - 1), "what helped was something else"


def test_a_quota_that_the_file_system_does_not_show_costs_a_reserve_of_logs_at_a_time() -> None:
    watched = Watched()
    watched.look(probe(error="Disk quota exceeded", full=True))
    assert watched.shortage == Shortage(bytes=RESERVE, files=0)
    watched.disk.on_swept(5, watched.now)
    assert watched.shortage is None
    watched.look(probe())
    assert watched.shortage is None, "it helped"


def test_no_log_is_deleted_for_a_disk_that_is_broken_or_read_only() -> None:
    watched = Watched()
    assert watched.look(probe(error="Read-only file system")) == "Read-only file system"
    watched.fail("Input/output error", full=False)
    watched.look(probe())
    assert watched.shortage is None


def test_when_nothing_is_left_to_delete_the_tree_is_not_walked_all_the_time() -> None:
    watched = Watched()
    watched.look(probe(10))
    assert watched.shortage
    watched.disk.on_swept(0, watched.now)
    walks = 0
    for _ in range(100):
        watched.look(probe(10))
        if watched.shortage:
            walks += 1
            watched.disk.on_swept(0, watched.now)
    assert walks == 100 // (d.NOTHING_LEFT_SECONDS)


def test_no_inodes_is_a_full_disk() -> None:
    watched = Watched()
    found = Probe(10**12, 10**13, free_files=10, total_files=10**6)
    assert watched.look(found) == "fewer than 1000 inodes free"
    assert watched.shortage == Shortage(bytes=0, files=2990)
    plenty = Probe(10**12, 10**13, free_files=5000, total_files=10**6)
    assert watched.look(plenty, d.HOLD_SECONDS) == ""


def test_a_small_file_system_has_a_small_reserve() -> None:
    watched = Watched()
    assert watched.look(probe(5, total=80)) == "", "a twentieth of 80 MiB is 4 MiB"
    assert watched.look(probe(3, total=80)) == "less than 4 MiB free"


def test_without_a_reserve_only_failed_writes_count() -> None:
    watched = Watched(reserve=0)
    assert watched.look(probe(0)) == ""
    assert watched.look(Probe(0, 10**9, free_files=0, total_files=10**6)) == ""
    assert watched.shortage is None
    assert watched.look(probe(0, error=NO_SPACE, full=True)) == NO_SPACE


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.booleans()),
        st.tuples(st.just("sweep"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 200)),
        st.tuples(st.just("look"), st.sampled_from([0, 63, 64, 127, 128, 191, 192, 5000])),
        st.tuples(st.just("bad look"), st.booleans()),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_work_is_taken_only_while_the_last_write_succeeded(
    events: list[tuple[str, Any]],
) -> None:
    watched = Watched()
    disk = watched.disk
    for kind, value in events:
        before = disk.error
        writes = disk.wants_write(watched.now)
        if kind == "fail":
            watched.fail(full=value)
            assert disk.error
        elif kind == "sweep":
            disk.on_swept(value, watched.now)
            assert disk.error == before
            assert watched.shortage is None
        elif kind == "wait":
            watched.now += value
        elif kind == "bad look":
            disk.on_probed(probe(error=NO_SPACE, full=value), wrote=writes, now=watched.now)
            assert disk.error == NO_SPACE
        else:
            disk.on_probed(probe(value), wrote=writes, now=watched.now)
            if value < 64:
                assert disk.error
            elif before and not disk.error:
                assert writes
                assert value >= 128
            elif not before:
                assert not disk.error, "room, and no failed write"
        assert not disk.error or disk.wants_write(watched.now)
        wanted = watched.shortage
        assert wanted is None or wanted.bytes > 0
    # In the end a disk with room is used again, however bad it was.
    for _ in range(int(d.MAX_HOLD_SECONDS)):
        watched.look(probe(5000))
    assert not disk.error


# -- the node's attempts -----------------------------------------------------------------------


def test_an_unwritable_node_asks_for_nothing_and_what_runs_goes_on() -> None:
    node = Node(slots=2)
    (running,) = node.assign(command("a")).start
    node.machine.on_disk_changed(writable=False)
    effects = node.settle()
    assert effects.credit == 0
    assert not effects.kill
    assert node.exit(running, SLOW).finished[0].outcome is SLOW
    node.machine.on_disk_changed(writable=True)
    assert node.settle().credit == 2


def test_what_did_not_begin_is_handed_back() -> None:
    node = Node(slots=1)
    node.learn("f", 0.00002)
    first, ahead = node.assign(call("a"), call("b")).start
    node.assign(command("c"))
    node.machine.on_disk_changed(writable=False)
    effects = node.settle()
    assert [ref.task_id for ref in effects.returned] == ["c"]
    assert effects.recall == [0]
    assert [ref.task_id for ref in node.recalled(0, ahead).returned] == ["b"]
    assert not first.over


def test_what_crosses_the_message_is_handed_back() -> None:
    node = Node(slots=2)
    node.machine.on_disk_changed(writable=False)
    node.settle()
    effects = node.assign(command("a"), call("b"), command("s", replica=True))
    assert [ref.task_id for ref in effects.returned] == ["a", "b", "s"]
    assert not effects.start
    assert node.machine.held == 0
    node.machine.on_disk_changed(writable=True)
    node.settle()
    assert names(node.assign(command("a", 2)).start) == ["a"]


def test_a_drain_outlasts_the_trouble() -> None:
    node = Node(slots=2)
    node.machine.on_drain_ordered(True, 10.0, node.now)
    node.machine.on_disk_changed(writable=False)
    node.machine.on_disk_changed(writable=True)
    node.settle()
    assert node.machine.credit(node.now) == 0
