"""`quorate limit`, `limits`, `queue create | update`, and the options of tasks."""

from __future__ import annotations

import json

import pytest

from quorate.cli.words import rate, rate_text
from quorate.v1 import limit_pb2, scheduler_pb2, task_pb2
from tests.support.command_line import command_line
from tests.support.fake_scheduler import FakeCluster


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfdbinary):
    return command_line(cluster, monkeypatch, tmp_path, capfdbinary)


def test_limits_are_created_listed_changed_and_deleted(quorate):
    assert quorate("limit", "create", "licence", "--max-running", "5") == (
        0,
        "licence created\n",
        "",
    )
    assert quorate("limit", "update", "licence", "--rate", "100/15m", "--burst", "7")[0] == 0
    shown = quorate("limits")[1]
    assert shown.split("\n")[1].split() == ["licence", "1", "/", "5", "100/15m", "7", "1"]
    assert quorate("limit", "update", "licence", "--max-running", "none")[0] == 0
    assert quorate("limit", "show", "licence")[1].split("\n")[1].split()[1:4] == ["1", "/", "-"]
    [listed] = json.loads(quorate("limits", "--json")[1])
    assert listed["rate"] == {"count": "100", "period": "900s", "burst": "7"}
    assert quorate("limit", "delete", "licence")[1] == "licence deleted\n"
    assert json.loads(quorate("limits", "--json")[1]) == []


def test_queue_settings_are_sent_as_they_are_named(quorate, cluster):
    code, out, _ = quorate(
        *("queue", "create", "mail", "--max-running", "3", "--rate", "10/s", "--key-rate", "5/m"),
        *("--key-max-running", "2", "--max-length", "100", "--when-full", "drop-oldest"),
        *("--aging", "60", "--weight", "gold=3", "--share", "2.5"),
    )
    assert (code, out) == (0, "mail created\n")
    queue = cluster.queues["mail"]
    assert (queue.max_running, queue.rate.count, queue.rate_per_key.period.seconds) == (3, 10, 60)
    assert (queue.max_length, queue.length_policy) == (
        100,
        limit_pb2.LENGTH_POLICY_DROP_OLDEST,
    )
    assert (queue.aging.seconds, dict(queue.weights), queue.share) == (60, {"gold": 3.0}, 2.5)
    args = ("--rate", "none", "--max-running", "9", "--keep-age", "5", "--placement", "round-robin")
    assert quorate("queue", "update", "mail", *args)[:2] == (0, "mail changed\n")
    asked: scheduler_pb2.UpdateQueueRequest = cluster.updates[-1]
    assert not asked.queue.weights
    assert sorted(asked.update_mask.paths) == ["max_running", "placement", "rate", "retention.age"]
    assert not asked.queue.HasField("rate")
    assert asked.queue.max_running == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("queue", "update", "mail"), "nothing to change"),
        (("queue", "update", "mail", "--rate", "10"), "not a rate"),
        (("queue", "update", "mail", "--rate", "10/0s"), "not a rate"),
        (("queue", "update", "mail", "--burst", "3"), "--rate is required"),
        (("queue", "update", "mail", "--max-running", "many"), "not a whole number"),
        (("queue", "update", "mail", "--weight", "gold"), "not KEY=VALUE"),
        (("queue", "update", "mail", "--weight", "gold=much"), "not a number"),
        (("limit", "create", "x"), "nothing to set"),
        (("limit", "create", "x", "--rate", "ten/s"), "not a rate"),
    ],
)
def test_a_mistake_is_a_sentence(quorate, arguments, said):
    code, out, err = quorate(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_tasks_name_their_limits(quorate, cluster):
    limits = ("--limit", "a", "--limit", "b", "--fairness-key", "gold", "--ordering-key", "o")
    quorate("submit", "--limit-key", "k", "--unique-key", "u", *limits, "--", "true")
    [task] = cluster.tasks.values()
    assert task.spec.unique.key == "u"
    assert not task.spec.unique.HasField("window")
    assert (task.spec.fairness_key, task.spec.ordering_key) == ("gold", "o")
    assert (task.spec.limit_key, list(task.spec.limits)) == ("k", ["a", "b"])


def test_a_unique_key_may_replace_and_last(quorate, cluster):
    how = ("--on-conflict", "replace", "--unique-for", "60")
    quorate("submit", "--unique-key", "u", *how, "--", "true")
    [task] = cluster.tasks.values()
    assert task.spec.unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE
    assert task.spec.unique.window.seconds == 60
    code, _, err = quorate("submit", *how, "--", "true")
    assert (code, "--on-conflict: needs --unique-key" in err) == (2, True)
    assert quorate("submit", "--unique-key", "u", "--on-conflict", "win", "--", "true")[0] == 2


def test_a_listed_task_that_a_limit_holds_back_says_so(quorate, cluster):
    cluster.hold.clear()
    quorate("submit", "--", "true")
    [task] = cluster.tasks.values()
    task.limited_by = "limit 'licence': 5 of 5 in use"
    assert "(limit)" in quorate("tasks")[1]
    assert "for limit 'licence': 5 of 5 in use" in " ".join(quorate("task", task.id)[1].split())


@pytest.mark.parametrize(
    ("text", "starts", "period"),
    [("10/s", 10, 1.0), ("100/15m", 100, 900.0), ("1/2d", 1, 172_800.0), ("5/90s", 5, 90.0)],
)
def test_rates_are_read_as_they_are_shown(text, starts, period):
    assert rate("--rate", text) == (starts, period)
    assert rate_text(starts, period) == text


def test_tasks_go_to_another_queue(quorate, cluster):
    cluster.hold.clear()
    task = quorate("submit", "--", "true")[1].strip()
    assert quorate("update", task, "--to-queue", "other")[0] == 0
    assert quorate("update", "--queue", "default", "--to-queue", "other", "--yes")[0] == 0
    one, many = cluster.task_updates
    for request in (one, many):
        assert request.task.queue == "other"
        assert list(request.update_mask.paths) == ["queue"]
    assert "--to-queue" in quorate("update", task)[2]


def test_a_listed_task_that_is_suspended_or_was_skipped_says_so(quorate, cluster):
    quorate("submit", "--", "true")
    [task] = cluster.tasks.values()
    task.suspended = True
    assert "(suspended)" in quorate("tasks")[1]
    task.suspended, task.error.type = False, "SKIPPED"
    assert "(skipped)" in quorate("tasks")[1]
