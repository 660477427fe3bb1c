"""A watch that begins anew may have missed the outcome of a task whose id is not known yet."""

from __future__ import annotations

from quorate.client.tracking.ledger import Ledger, Outcome


def noted(_: Outcome) -> None: ...


def test_a_submission_under_way_across_a_gap_has_to_ask_for_its_tasks() -> None:
    ledger = Ledger()
    ticket = ledger.begin()
    # The token was too old, and the listing of who waits did not know these ids.
    ledger.on_gap()
    ready, doubtful = ledger.claim(ticket, ["a", "b"], [noted, noted])
    assert not ready
    assert doubtful == ["a", "b"]


def test_a_submission_that_began_after_the_gap_is_in_the_watch() -> None:
    ledger = Ledger()
    ledger.on_gap()
    ticket = ledger.begin()
    assert ledger.claim(ticket, ["a"], [noted]) == ([], [])
