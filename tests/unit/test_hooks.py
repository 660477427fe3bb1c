"""Hooks: their bounds, which nodes take them, what the agent's core makes of them, the SDK."""

from __future__ import annotations

from typing import Any

import pytest

import quorate
from node_agent.core.attempts import Outcome, Reason, Result
from node_agent.core.hooks import Hook, Hooks
from node_agent.session.messages import HOOK_TIMEOUT, attempt_of
from quorate.client.work.options import TaskOptions
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import NodeName
from quorate.v1 import node_agent_pb2, task_pb2
from scheduler.api.specs.check import SpecCheck
from scheduler.core.model.state import State
from scheduler.core.values import HOOKS, TaskState
from scheduler.storage.records import node_row
from tests.support.agent_machine import Node, command, names
from tests.support.core import Cluster
from tests.support.reporting import quiet_hook

DONE = Outcome(Result("exit_code", 0), start=1000.0, seconds=0.001)


def spec(**hooks: Any) -> task_pb2.TaskSpec:
    found = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    found.hooks.SetInParent()
    for name, hook in hooks.items():
        getattr(found.hooks, name).MergeFrom(task_pb2.Hook(**hook))
    return found


@pytest.mark.parametrize(
    ("hooks", "field"),
    [
        ({}, "spec.hooks"),
        ({"setup": {}}, "spec.hooks.setup"),
        ({"setup": {"argv": ["a"], "entrypoint": "m:f"}}, "spec.hooks.setup"),
        ({"setup": {"argv": [""]}}, "spec.hooks.setup.argv"),
        ({"cleanup": {"argv": ["a\0b"]}}, "spec.hooks.cleanup.argv"),
        ({"cleanup": {"argv": ["a"] * 1_025}}, "spec.hooks.cleanup.argv"),
        ({"cleanup": {"entrypoint": "no name"}}, "spec.hooks.cleanup.entrypoint"),
    ],
)
def test_what_cannot_be_run_is_refused(hooks: dict[str, Any], field: str):
    with pytest.raises(QuorateError) as error:
        SpecCheck().spec(spec(**hooks), "spec", 0.0)
    assert error.value.field == field


@pytest.mark.parametrize("seconds", [0, -1, 3_601])
def test_their_timeouts_have_bounds(seconds: int):
    message = spec(setup={"argv": ["a"]})
    message.hooks.setup.timeout.seconds = seconds
    with pytest.raises(QuorateError) as error:
        SpecCheck().spec(message, "spec", 0.0)
    assert error.value.field == "spec.hooks.setup.timeout"


def test_an_older_agent_does_not_get_a_task_with_hooks():
    wanted = SpecCheck().spec(spec(cleanup={"argv": ["true"]}), "spec", 0.0)
    c = Cluster()
    c.node("old")
    task = c.submit(wanted)
    assert c.state_of(task) is TaskState.PENDING
    c.node("new", counters={HOOKS: 1_000_000})
    assert c.row(task).node == "new"


def test_a_node_says_that_it_runs_hooks_and_no_counter_shows_it():
    record = r.NodeRecord(name="n", instance="i", address="h:1", slots=1, takes_hooks=True)
    row = node_row(NodeName("n"), record.SerializeToString(), 1, State())
    assert row is not None
    assert row.counters[HOOKS] > 1_000


def test_the_agent_reads_them_within_their_bounds():
    message = spec(setup={"argv": ["make", "ready"]}, cleanup={"entrypoint": "m:f"})
    message.hooks.setup.timeout.seconds = 10**9
    data = message.SerializeToString()
    attempt = attempt_of(node_agent_pb2.Assignment(task_id="t", attempt=1, spec=data))
    assert attempt.hooks is not None
    assert attempt.hooks.setup == Hook(("make", "ready"), 3_600.0)
    assert attempt.hooks.cleanup is not None
    assert attempt.hooks.cleanup.argv[-2:] == ("node_agent.worker.hooks", "m:f")
    assert attempt.hooks.cleanup.timeout == HOOK_TIMEOUT


def hooked(name: str, **more: Any) -> Any:
    attempt = command(name, hooks=Hooks(Hook(("a",), 30.0), Hook(("b",), 30.0)), **more)
    attempt.profile, attempt.waited = "", True
    return attempt


def test_nothing_shares_a_lane_with_an_attempt_that_has_hooks():
    node = Node(slots=1)
    node.learn("$ true", 0.0001)
    effects = node.assign(hooked("h"), command("short"))
    assert names(effects.start) == ["h"]
    node = Node(slots=1)
    node.learn("$ true", 0.0001)
    effects = node.assign(command("short"), hooked("h"))
    assert names(effects.start) == ["short"]


def test_its_timeout_counts_from_its_own_start_and_ends_with_its_own_end():
    node = Node(slots=1)
    attempt = hooked("h", timeout=1.0)
    node.assign(attempt)
    assert node.tick(85.0).kill == [], "the set-up has its own time"
    node.machine.on_began(attempt, node.now)
    node.tick(0.5)
    attempt.settled = True  # the clean-up runs
    assert node.tick(60.0).kill == []
    node.cancel(("h", 1))
    assert attempt.killed is None
    (report,) = node.exit(attempt, DONE).finished
    assert report.outcome.value == DONE.value


def test_one_that_never_begins_is_late_after_its_set_up_too():
    node = Node(slots=1)
    attempt = hooked("h", timeout=1.0)
    node.assign(attempt)
    assert node.tick(92.0).kill == [attempt]
    assert attempt.killed is Reason.TIMEOUT


def applied(**options: Any) -> task_pb2.Hooks:
    made = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    TaskOptions(**options).apply(made, now=0.0)
    return made.hooks


def test_the_sdk_takes_programs_functions_and_names():
    hooks = applied(set_up=["mkdir", "-p", "x"], clean_up=quiet_hook, clean_up_timeout=5.0)
    assert list(hooks.setup.argv) == ["mkdir", "-p", "x"]
    assert hooks.cleanup.entrypoint == "tests.support.reporting:quiet_hook"
    assert hooks.cleanup.timeout.seconds == 5
    assert applied(set_up="m:f").setup.entrypoint == "m:f"
    with pytest.raises(QuorateError, match="top of a module"):
        applied(set_up=lambda: None)
    with pytest.raises(QuorateError):
        applied(set_up="m:f", set_up_timeout=0.0)
    assert quorate.TaskOptions().set_up == ()
