"""Chunks in the agent's core: reports, acknowledgements, recall, and how they end."""

from __future__ import annotations

import pytest

from node_agent.core.attempts import Attempt, Failure, Outcome, Reason, Ref, Result
from node_agent.core.chunks import report as report_module
from node_agent.core.chunks.chunk import MAX_PIECE, MAX_RUNS, Chunk
from node_agent.core.chunks.report import FEW_UNACKNOWLEDGED, MOST_UNACKNOWLEDGED, ChunkReport
from node_agent.core.effects import Effects
from node_agent.core.held import chunks as held_chunks
from quorate.runtime.ids import Epoch
from quorate.runtime.ranges import Ranges
from tests.support.agent_machine import Node

DONE = Outcome(Result("exit_code", 0), 1000.0, 0.05)
RETURNED = Outcome(None, 1000.0, 0.05)


def chunk_of(size: int = 10, *, task: str = "c", expected: float = 0.02) -> Attempt:
    chunk = Chunk("job", Ranges.span(0, size), expected=expected)
    return Attempt(task, 1, work=None, warm=True, waited=True, chunk=chunk)


def start(node: Node, attempt: Attempt) -> Chunk:
    assert node.assign(attempt).start == [attempt]
    node.machine.on_began(attempt, node.now)
    assert attempt.chunk is not None
    return attempt.chunk


def run(chunk: Chunk, count: int, failed: int = 0) -> None:
    """The next `count` subtasks end, the first ones of them badly."""
    for number in range(count):
        piece = chunk.feed(1)
        assert piece is not None
        wrong = [(piece.begin, Failure("E", "why"), 1.0)] if number < failed else []
        chunk.advance(1, 0.02, (), wrong)
        chunk.end_piece()


def reports(effects: Effects) -> list[ChunkReport]:
    return effects.chunk_reports


def acknowledge(node: Node, *found: ChunkReport) -> Effects:
    node.machine.on_reports_acknowledged((one.task_id, one.attempt, one.number) for one in found)
    return node.settle()


def test_what_ended_is_reported_with_the_next_tick() -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    run(chunk, 4, failed=1)
    (report,) = reports(node.tick())
    assert report.number == 1
    assert report.succeeded == Ranges.span(1, 3)
    assert [position for position, _, _ in report.failed] == [0]
    assert not reports(node.tick())
    run(chunk, 6)
    effects = node.exit(attempt, DONE)
    (last,) = reports(effects)
    assert (last.number, last.succeeded) == (2, Ranges.span(4, 6))
    assert [report.task_id for report in effects.finished] == ["c"]


def test_short_subtasks_are_reported_together() -> None:
    node, attempt = Node(1), chunk_of(1000, expected=0.0001)
    chunk = start(node, attempt)
    ticks = 0
    for _ in range(20):
        piece = chunk.feed(10)
        assert piece is not None
        chunk.advance(10, 0.001)
        chunk.end_piece()
        ticks += len(reports(node.tick()))
    assert 2 <= ticks <= 3


def test_reports_are_sent_again_in_each_session_until_they_are_acknowledged() -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    run(chunk, 2)
    (first,) = reports(node.tick())
    run(chunk, 2)
    (second,) = reports(node.tick())
    acknowledge(node, first)
    node.machine.on_session_closed()
    run(chunk, 2)
    assert not reports(node.tick())
    inventory = node.machine.on_session_opened(Epoch(2))
    assert inventory.chunks == (attempt,)
    assert chunk.left == Ranges.span(4, 6)
    assert reports(node.settle()) == [second]
    (third,) = reports(node.tick())
    assert third.succeeded == Ranges.span(4, 2)


def test_reports_grow_while_the_leader_is_slow_and_feeding_stops_in_the_end() -> None:
    node, attempt = Node(1), chunk_of(1000)
    chunk = start(node, attempt)
    sent = []
    for _ in range(FEW_UNACKNOWLEDGED):
        run(chunk, 1)
        sent += reports(node.tick())
    assert len(sent) == FEW_UNACKNOWLEDGED
    run(chunk, 1)
    assert not reports(node.tick())
    acknowledge(node, sent[0])
    assert len(reports(node.tick())) == 1
    assert node.machine.may_feed(attempt)
    chunk.reports.unacknowledged = MOST_UNACKNOWLEDGED
    assert not node.machine.may_feed(attempt)


def test_a_chunk_that_runs_for_far_too_long_gives_back_what_has_not_begun() -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    chunk.feed()
    node.machine.on_began(attempt, node.now)
    assert not node.tick(held_chunks.RUNS_SECONDS).recall_chunks
    assert node.tick().recall_chunks == [attempt]
    chunk.give_up(1)
    assert not node.tick().recall_chunks
    assert chunk.left == Ranges.span(0, 1)


def test_without_a_leader_a_chunk_is_not_given_back() -> None:
    node, attempt = Node(1), chunk_of()
    start(node, attempt).feed()
    node.machine.on_began(attempt, node.now)
    node.machine.on_session_closed()
    node.tick(2.0 * held_chunks.RUNS_SECONDS)
    assert not node.tick().recall_chunks


def test_a_waiting_chunk_that_is_recalled_is_returned_as_a_whole() -> None:
    node, first, second = Node(1), chunk_of(), chunk_of(task="d")
    start(node, first)
    node.assign(second)
    node.machine.on_chunks_recalled([Ref("d", 1), Ref("unknown", 1), Ref("c", 7)])
    effects = node.settle()
    assert effects.returned == [Ref("d", 1)]
    assert not effects.recall_chunks
    node.machine.on_chunks_recalled([Ref("c", 1)])
    assert node.settle().recall_chunks == [first]


def test_a_waiting_chunk_stays_longer_than_a_task() -> None:
    node, first, second = Node(1), chunk_of(), chunk_of(task="d")
    start(node, first)
    node.assign(second)
    for _ in range(100):
        assert not node.tick().returned
    assert node.tick(held_chunks.CHUNK_WAIT_SECONDS).returned == [Ref("d", 1)]


def test_a_cancelled_chunk_leaves_what_did_not_run() -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    run(chunk, 3)
    assert node.cancel(("c", 1)).kill == [attempt]
    effects = node.exit(attempt, RETURNED)
    (report,) = reports(effects)
    assert report.succeeded == Ranges.span(0, 3)
    assert not report.returned
    value = effects.finished[0].outcome.value
    assert isinstance(value, Failure)
    assert value.type == "CANCELLED"


def test_a_chunk_that_is_ended_by_a_drain_returns_what_is_left() -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    chunk.feed()
    node.machine.on_drain_ordered(True, 1.0, node.now)
    assert node.settle().recall_chunks == [attempt]
    assert node.tick(2.0).kill == [attempt]
    assert attempt.killed is Reason.DRAINED
    effects = node.exit(attempt, RETURNED)
    (report,) = reports(effects)
    assert report.returned == Ranges.span(0, 10)
    assert effects.finished[0].outcome.value is None


def test_a_superseded_chunk_reports_nothing_more() -> None:
    node, attempt = Node(1), chunk_of()
    run(start(node, attempt), 3)
    newer = chunk_of()
    newer.number = 2
    assert node.assign(newer).kill == [attempt]
    assert not reports(node.tick())
    effects = node.exit(attempt, DONE)
    assert not reports(effects)
    assert not effects.finished


def test_a_chunk_without_its_template_is_returned() -> None:
    node = Node(1)
    node.machine.on_template_missing(Ref("c", 1))
    assert node.settle().returned == [Ref("c", 1)]


def test_one_chunk_more_is_wanted_while_short_ones_run() -> None:
    node, attempt = Node(2), chunk_of(expected=0.001)
    assert node.first.credit == 2
    start(node, attempt)
    assert node.settle().credit == 3
    long = chunk_of(task="l", expected=1.0)
    start(node, long)
    assert node.settle().credit is None
    # It does not change with each chunk.
    assert node.exit(attempt, DONE).credit is None
    assert node.tick(held_chunks.AHEAD_STAYS_SECONDS * 2).credit == 2
    again = chunk_of(task="a", expected=0.001)
    start(node, again)
    assert node.machine.credit(node.now) == 3
    node.exit(long, DONE)
    assert node.exit(again, DONE).credit == 2


def test_durations_of_chunks_say_nothing_about_tasks() -> None:
    node, attempt = Node(1), chunk_of()
    start(node, attempt)
    node.exit(attempt, DONE)
    assert node.machine.durations.overall is None


def test_pieces_are_about_ten_milliseconds_and_within_their_bounds() -> None:
    assert len(_first(chunk_of(1000, expected=0.001))) == 10
    assert len(_first(chunk_of(1000, expected=0.0))) == 1
    assert len(_first(chunk_of(1000, expected=5.0))) == 1
    assert len(_first(chunk_of(MAX_PIECE * 2, expected=1e-9))) == MAX_PIECE
    scattered = Chunk("j", Ranges.of_positions(range(0, 4000, 2)), expected=1e-9)
    piece = scattered.feed()
    assert piece is not None
    assert len(scattered.part(piece.begin, piece.end).pairs) == MAX_RUNS
    large = Chunk("j", Ranges.span(0, 9), [b"x" * 10_000] * 9, expected=1e-9)
    piece = large.feed()
    assert piece is not None
    assert piece.end == 2


def _first(attempt: Attempt) -> range:
    assert attempt.chunk is not None
    piece = attempt.chunk.feed()
    assert piece is not None
    return range(piece.begin, piece.end)


def test_the_average_falls_at_once_and_rises_slowly() -> None:
    chunk = chunk_of(100, expected=0.0).chunk
    assert chunk is not None
    for seconds, expected in ((0.1, 0.1), (0.01, 0.01), (0.03, 0.02)):
        piece = chunk.feed(1)
        assert piece is not None
        chunk.advance(1, seconds)
        chunk.end_piece()
        assert abs(chunk.average - expected) < 1e-9


def test_reports_that_wait_count_as_unacknowledged_and_a_full_box_takes_no_credit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, attempt = Node(1), chunk_of()
    chunk = start(node, attempt)
    run(chunk, 2)
    (report,) = reports(node.tick())
    assert node.machine.unacknowledged == 1
    monkeypatch.setattr(report_module, "MAX_BOX_BYTES", 100)
    assert node.settle().credit == 0
    assert not node.machine.may_feed(attempt)
    assert acknowledge(node, report).credit
    assert node.machine.unacknowledged == 0
