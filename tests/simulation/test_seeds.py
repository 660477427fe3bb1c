"""The runner of many seeds: it counts, it names what failed, and its exit code says so."""

from __future__ import annotations

import sys

import pytest

from tests.simulation import seeds


def test_seeds_that_keep_every_promise_end_with_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["seeds", "--seeds", "3", "--seconds", "1"])
    assert seeds.main() == 0
    assert capsys.readouterr().out.startswith("3 seeds in ")


def test_a_seed_that_fails_is_named_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise AssertionError("a task was lost")

    monkeypatch.setattr(seeds, "play", fails)
    failed = seeds.played(seeds.Plan(7, 1.0))
    assert failed.failure.startswith("AssertionError: a task was lost")
    seeds.report(failed, 1.0, 1)
    assert "--first 7 --seeds 1 --seconds 1" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--seeds", "--seconds", "--processes"])
def test_numbers_have_to_be_positive(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["seeds", option, "0"])
    with pytest.raises(SystemExit) as ended:
        seeds.main()
    assert ended.value.code == 2
