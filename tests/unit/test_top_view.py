"""`quorate top`: what keys do, and the rates between two samples."""

from __future__ import annotations

import dataclasses

import pytest

from quorate.cli.top.keys import named
from quorate.cli.top.sample import Rates, Sample, rates
from quorate.cli.top.view import HELP, PANELS, SORTS, View, pressed
from quorate.v1 import cluster_pb2, job_pb2, queue_pb2

ROWS = {"queues": 3, "nodes": 2, "jobs": 1, "tasks": 40}


def keys(*names: str, view: View | None = None) -> View:
    view = view or View()
    for name in names:
        view = pressed(view, name, ROWS)
    return view


@pytest.mark.parametrize("key", ["q", "Q", "ctrl-c", "f10"])
def test_quits(key):
    assert keys(key).quit


def test_every_column_can_be_chosen_and_the_choice_comes_round():
    for panel in PANELS:
        view = View(panel=panel)
        seen = []
        for _ in SORTS[panel]:
            seen.append(view.sort_of(panel))
            view = keys(">", view=view)
        assert tuple(seen) == SORTS[panel]
        assert view == View(panel=panel)
        assert keys("<", ">", view=view) == view


def test_reversing_is_of_the_chosen_panel_and_undone_by_the_same_key():
    assert View().descending("tasks")
    assert not keys("R").descending("tasks")
    assert keys("R").descending("queues")
    assert keys("R", "I") == View()
    # Names begin with A.
    assert not View().descending("nodes")


def test_letters_sort_and_choose_the_panel_that_has_such_a_column():
    assert keys("N").sort_of("tasks") == "NAME"
    assert keys("N", "T") == View()
    by_cpu = keys("C")
    assert (by_cpu.panel, by_cpu.sort_of("nodes")) == ("nodes", "CPU")
    assert by_cpu.descending("nodes")


def test_tab_goes_over_what_is_shown():
    assert keys("tab").panel == "queues"
    assert keys("backtab").panel == "jobs"
    assert keys("1", "tab").panel == "nodes"
    # The chosen one is hidden: another is chosen.
    hidden = keys("4")
    assert hidden.hidden == {"tasks"}
    assert hidden.panel != "tasks"
    assert keys("1", "2", "3", "4", "tab").hidden == set(PANELS)
    assert keys("1", "1") == View()


def test_scrolling_stays_within_the_rows():
    assert keys("down", "j").scroll_of("tasks") == 2
    assert keys("up").scroll_of("tasks") == 0
    assert keys("end").scroll_of("tasks") == 39
    assert keys("end", "home").scroll_of("tasks") == 0
    assert keys("pagedown", "pagedown", "pageup").scroll_of("tasks") == 10
    # Another order begins at its top.
    assert keys("end", ">").scroll_of("tasks") == 0


def test_help_hides_with_any_key_and_quitting_works_in_it():
    assert keys("h").help
    assert not keys("?", "z").help
    assert keys("h", "q").quit
    assert all(key and words for key, words in HELP)


def test_refresh_lasts_for_one_key():
    assert keys(" ").refresh
    assert not keys(" ", "x").refresh
    assert keys("x") == View()
    assert keys("z").frozen
    assert not keys("z", "Z").frozen


def test_keys_have_names_and_unknown_sequences_are_none():
    assert named(b"q\x1b[A\x1b[B\tZ") == ["q", "up", "down", "tab", "Z"]
    assert named(b"\x1b[5~\x1b[Z<") == ["pageup", "backtab", "<"]
    assert named(b"\x1b") == []
    assert named(b"\x1b[200~q") == []
    assert named(b"\xff\x00\n") == []


def sample(at: float, epoch: int, finished: int, subtasks: int) -> Sample:
    queue = queue_pb2.Queue(name="mail", counts=queue_pb2.QueueCounts(finished_total=finished))
    job = job_pb2.Job(id="1", queue="mail", counts=job_pb2.JobCounts(succeeded=subtasks))
    cluster = cluster_pb2.Cluster(epoch=epoch)
    return Sample(at, 0.0, cluster, (queue,), (), (job,), (), frozenset())


def test_rates_are_of_the_time_between_samples_and_count_subtasks():
    assert rates(sample(1.0, 7, 100, 10), sample(3.0, 7, 150, 30)) == Rates(
        {"mail": 35.0}, {"1": 10.0}
    )


def test_tasks_of_a_graph_are_not_counted_twice():
    before, after = sample(1.0, 7, 100, 10), sample(3.0, 7, 150, 30)
    for one in (before, after):
        one.jobs[0].spec.graph.SetInParent()
    assert rates(before, after) == Rates({"mail": 25.0}, {"1": 10.0})


def test_a_new_leader_counts_anew_so_nothing_is_known():
    nothing = Rates({}, {})
    assert rates(None, sample(3.0, 7, 150, 30)) == nothing
    assert rates(sample(1.0, 7, 100, 10), sample(3.0, 8, 150, 30)) == nothing
    assert rates(sample(3.0, 7, 100, 10), sample(3.0, 7, 150, 30)) == nothing


def test_a_count_that_fell_and_a_job_that_is_new_have_no_rate():
    before = sample(1.0, 7, 100, 10)
    assert rates(before, sample(2.0, 7, 0, 0)) == Rates({}, {})
    new = dataclasses.replace(before, jobs=())
    assert rates(new, sample(2.0, 7, 101, 5)) == Rates({"mail": 1.0}, {})
