"""What the comparison with RabbitMQ leaves out (the comparing itself is `make amqp-oracle`)."""

from __future__ import annotations

import pytest

from tests.oracle import __main__ as oracle
from tests.oracle import intended
from tests.oracle.session import Step


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("'x' from '' 'p' {delivery_mode: 1}", "'x' from '' 'p'"),
        ("'x' {delivery_mode: 1, headers: {a: 1, x-delivery-count: 1L}}", "'x' {headers: {a: 1}}"),
        (
            "'x' {headers: {b: 2, x-last-death-queue: 'q'}, type: 't'}",
            "'x' {headers: {b: 2}, type: 't'}",
        ),
        ("'x' {app_id: 'a', delivery_mode: 1}", "'x' {app_id: 'a', headers: {}, priority: 0}"),
    ],
)
def test_parts_that_may_differ_are_left_out(here: str, there: str) -> None:
    assert intended.comparable(here) == intended.comparable(there)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("channel closed with 404", "channel closed with 406"),
        ("'x' {delivery_mode: 2}", "'x'"),
        ("'x' {priority: 5}", "'x' {priority: 3}"),
        ("'x' {headers: {a: 1}}", "'x' {headers: {a: 2}}"),
    ],
)
def test_everything_else_is_compared(here: str, there: str) -> None:
    assert intended.comparable(here) != intended.comparable(there)


def test_listed_differences_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    entry, *_ = intended.STEPS
    met: set[tuple[str, str]] = set()
    listed = Step(f"declare {entry[1]}", "ok")
    assert not oracle._compare(entry[0], [listed], [listed._replace(outcome="406")], met)
    assert met == {entry}
    other = Step("publish", "ok")
    assert oracle._compare("returns", [other], [other._replace(outcome="nacked")], met) == 1
    assert "RabbitMQ: nacked" in capsys.readouterr().out


def test_every_list_entry_names_a_script() -> None:
    assert {script for script, _ in intended.STEPS} <= oracle.SCRIPTS.keys()
