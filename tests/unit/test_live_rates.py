"""Rates and latencies from task events; logs told in pieces; frames."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.live.messages.filters import LogFilter
from gateway.live.messages.frames import frame_head
from gateway.live.topics.logs import LogTail, Output
from gateway.live.topics.rates import RATE_WINDOW, Rates, Sketch
from quorate.runtime.errors import QuorateError
from tests.support.live import created, updated

WALL = 1_000_000.0


def at(stamp, seconds):
    stamp.FromNanoseconds(round(seconds * 1e9))


def born(number, when):
    event = created(number)
    at(event.task.create_time, when)
    return event


def done(number, state, born_at, began, ended):
    event = updated(number, state)
    at(event.task.create_time, born_at)
    at(event.task.finish_time, ended)
    at(event.task.attempts.add(number=1).start_time, began)
    return event


def test_rates_are_per_second_over_whole_seconds():
    rates = Rates(since=0.0)
    for second in range(20):
        for number in range(10):
            name = second * 10 + number
            now, wall = second + number / 10, WALL + second
            rates.observe(born(name, wall), now, wall)
            rates.observe(updated(name, "RUNNING"), now, wall)
            rates.observe(updated(name, "RUNNING"), now, wall)
            state = "FAILED" if number == 0 else "SUCCEEDED"
            rates.observe(done(name, state, wall, wall + 0.1, wall + 0.3), now, wall)
    figures = rates.figures(20.0)
    assert figures["rates"] == {"submitted": 10, "started": 10, "finished": 10, "failed": 1}
    assert figures["latency"]["queueMs"]["p50"] == pytest.approx(100, rel=0.03)
    assert figures["latency"]["runMs"]["p99"] == pytest.approx(200, rel=0.03)
    later = rates.figures(20.0 + RATE_WINDOW)
    assert set(later["rates"].values()) == {0}
    assert rates.figures(200.0)["latency"]["runMs"] == {}


def test_events_of_long_ago_are_not_counted_as_now():
    rates = Rates(since=0.0)
    rates.observe(born(1, WALL - 500), 5.0, WALL)
    rates.observe(done(2, "SUCCEEDED", WALL - 501, WALL - 500, WALL - 499), 5.0, WALL)
    assert set(rates.figures(6.0)["rates"].values()) == {0}


def test_an_attempt_that_ended_before_it_was_seen_to_begin_counts_as_started():
    rates = Rates(since=0.0)
    rates.observe(done(1, "SUCCEEDED", WALL, WALL, WALL), 5.0, WALL)
    assert rates.figures(6.0)["rates"]["started"] == pytest.approx(1 / RATE_WINDOW)


@given(st.lists(st.floats(0.02, 1e8), min_size=1, max_size=200))
def test_quantiles_are_within_the_sketch_error(values):
    sketch = Sketch()
    for value in values:
        sketch.add(value, 0.0)
    ordered = sorted(values)
    found = sketch.quantiles(0.0)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        exact = ordered[max(0, -(-round(share * 100) * len(values) // 100) - 1)]
        assert found[name] == pytest.approx(exact, rel=0.05)
    assert all(a <= b for a, b in pairwise(found.values()))


def test_a_sketch_does_not_grow():
    sketch = Sketch(window=5)
    for step in range(10_000):
        sketch.add(random.Random(step).expovariate(1e-9), step / 100)
    assert len(sketch._seconds) <= 5
    assert sum(map(len, sketch._seconds.values())) <= 5 * 541


def test_a_character_cut_in_two_is_told_whole_and_where_it_begins():
    output = Output()
    assert output.take(0, "aé".encode()[:2]) == (0, "a")
    assert output.resume == 1
    assert output.take(2, "é".encode()[1:] + b"b") == (1, "éb")
    assert output.resume == 4


def test_what_was_told_is_skipped_and_a_gap_is_jumped():
    output = Output()
    output.take(0, b"hello")
    assert output.take(0, b"hel")[1] == ""
    assert output.take(3, b"lo you") == (5, " you")
    assert output.take(100, b"later") == (100, "later")


@given(st.text(max_size=60), st.lists(st.integers(0, 240), max_size=8))
def test_any_cutting_of_a_log_gives_its_text(text, cuts):
    data = text.encode()
    places = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    output, told = Output(), ""
    for start, end in pairwise(places):
        offset, piece = output.take(start, data[start:end])
        assert data[offset:].startswith(piece.encode())
        told += piece
    assert told == text


@pytest.mark.parametrize("resume", ["x", "1", "1.2.3", "-1.2", "1.x", "9" * 20 + ".1"])
def test_a_log_token_of_nobody_is_refused(resume):
    with pytest.raises(QuorateError):
        LogTail(LogFilter("t"), resume)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_frames_are_those_of_websockets(length):
    data = b"x" * length
    assert frame_head(length) + data == Frame(Opcode.TEXT, data).serialize(mask=False)
