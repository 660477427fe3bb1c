"""`quorate.runtime.timing`: pauses that grow, and token buckets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node_agent.executors.workers.lanes import LONGEST_PAUSE, Lane
from quorate.runtime.timing.backoff import Backoff, either_way, exponential
from quorate.runtime.timing.token_bucket import TokenBucket

ROOT = Path(__file__).resolve().parents[2]


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() -> None:
    backoff = Backoff(0.1, 0.5)
    assert [backoff.next() for _ in range(4)] == pytest.approx([0.1, 0.2, 0.4, 0.5])
    assert backoff.failures == 4
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next() == 0.1


def test_the_first_pause_may_be_none() -> None:
    backoff = Backoff(0.1, 0.5, at_once=True)
    assert [backoff.next() for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_the_random_part_only_shortens_a_pause(draw: float, share: float) -> None:
    assert Backoff(0.1, 1.0, spread=0.5).next(draw) == pytest.approx(0.1 * share)


def test_jitter_either_way_is_symmetric() -> None:
    assert [either_way(10.0, 0.2, draw) for draw in (0.0, 0.5, 1.0)] == [8.0, 10.0, 12.0]


@given(st.integers(0, 10**6), st.floats(1.0, 10.0))
def test_any_number_of_failures_has_a_pause(failures: int, multiplier: float) -> None:
    assert 0.0 <= exponential(failures, 0.1, 10.0, multiplier) <= 10.0


def test_a_worker_that_never_gets_ready_is_started_again_for_ever() -> None:
    """After 1,100 starts, about three hours, the pause once overflowed and no worker came back."""
    lane = Lane(0)
    try:
        assert [lane.backoff.next() for _ in range(1_100)][-1] == LONGEST_PAUSE
    finally:
        lane.close()


def test_a_bucket_refuses_what_is_beyond_its_burst_and_rate() -> None:
    bucket = TokenBucket(10.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    # Refusals cost nothing: however many there are, the next token comes at the same time.
    assert [bucket.take(0.0) for _ in range(3)] == pytest.approx([0.1, 0.1, 0.1])
    assert bucket.take(0.1) == 0.0


def test_reservations_are_served_at_the_rate_in_the_order_they_came() -> None:
    bucket = TokenBucket(10.0, 3.0, 0.0)
    assert [bucket.reserve(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert [bucket.reserve(0.0) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert bucket.reserve(60.0) == 0.0


@given(st.floats(0.1, 1e4), st.floats(1.0, 1e4), st.lists(st.floats(0.0, 10.0), max_size=100))
def test_no_more_passes_than_burst_and_rate_allow(
    rate: float, burst: float, gaps: list[float]
) -> None:
    bucket, now, passed = TokenBucket(rate, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take(now) == 0.0
        assert passed <= burst + rate * now + 1e-6


def _doubles_a_pause(node: ast.AST) -> bool:
    """`min(..., pause * 2)`, in either order."""
    if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "min"):
        return False
    return any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Mult)
        and isinstance(part.right, ast.Constant)
        and part.right.value == 2
        and any(word in ast.unparse(part.left) for word in ("pause", "delay", "wait", "backoff"))
        for argument in node.args
        for part in ast.walk(argument)
    )


def test_no_loop_grows_its_pauses_by_hand() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("quorate", "scheduler", "node_agent", "gateway")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _doubles_a_pause(node)
    ]
    assert found == [], "use quorate.runtime.timing.backoff"
