"""Services in the core: made, kept running, updated, drained, deleted; over leaders too."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import task_pb2
from quorate.v1.service_pb2 import INSTANCE_STATE_HEALTHY
from scheduler.core.handlers.services.services import see_service
from scheduler.core.model import events as e
from scheduler.core.model.answers import Done, Rejection, ServiceSeen
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Control
from scheduler.core.model.state import SERVICES_QUEUE
from scheduler.core.values import InstanceState, ServiceName, TaskState
from scheduler.storage.replica.fold import Fold
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

WEB = ServiceName("web")


def seen(c: Cluster, name: ServiceName = WEB) -> ServiceSeen:
    return see_service(c.state, c.state.services[name])


def reason(answer: object) -> str:
    assert isinstance(answer, Rejection), answer
    return answer.reason


def test_a_service_gets_its_replicas_as_tasks_in_a_queue_of_their_own() -> None:
    c = Cluster()
    node = c.node("n1", credit=4)
    answer = c.service("web", replicas=3)
    assert isinstance(answer, ServiceSeen)
    assert (answer.generation, answer.version) == (1, 1)
    assert len(node.has) == 3
    for task in c.replicas("web"):
        row = c.row(task)
        assert row.queue.name == SERVICES_QUEUE
        assert row.spec is not None
        work = task_pb2.TaskSpec.FromString(row.spec).service
        assert (work.service, work.generation) == ("web", 1)
        assert list(work.command.argv) == ["serve"]
        assert work.drain_grace.seconds == 10
    assert (seen(c).ready, seen(c).updated) == (0, 3)
    c.healthy("web")
    assert seen(c).ready == 3


@pytest.mark.parametrize("how", ["succeed", "fail"])
def test_a_replica_is_started_again_whatever_way_it_ended(how: str) -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.replicas("web")
    waits = []
    for _ in range(9):
        node.start(task)
        getattr(node, how)(task)
        row = c.row(task)
        assert row.state is TaskState.SCHEDULED
        waits.append(row.not_before - c.now)
        c.advance(80.0)
        assert c.state_of(task) is TaskState.RUNNING
    assert 0.8 <= waits[0] <= 1.2
    assert all(48.0 <= wait <= 72.0 for wait in waits[6:])
    assert waits[0] < waits[2] < waits[4] < waits[6]
    assert c.replicas("web") == [task]


def test_failures_are_forgotten_after_a_good_run() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.replicas("web")
    for _ in range(5):
        node.start(task)
        node.fail(task)
        c.advance(80.0)
    node.start(task)
    c.advance(61.0)
    node.fail(task)
    assert c.row(task).not_before - c.now <= 1.2


def test_a_replica_outlives_any_number_of_nodes() -> None:
    c = Cluster()
    c.service("web", replicas=1)
    (task,) = c.replicas("web")
    for number in range(20):
        node = c.node(f"n{number}")
        node.start(task)
        node.lose()
    assert c.state_of(task) is TaskState.PENDING
    assert c.replicas("web") == [task]


def test_an_update_rolls_as_new_replicas_become_healthy() -> None:
    c = Cluster()
    c.node("n1", credit=10)
    c.service("web", replicas=3)
    first = c.replicas("web")
    c.healthy("web")
    answer = c.update("web", replicas=3, argv="better")
    assert isinstance(answer, ServiceSeen)
    assert (answer.generation, answer.version) == (2, 2)
    assert len(c.replicas("web")) == 4, "the surge"
    assert not c.ending("web")
    for step in range(1, 4):
        new = [t for t in c.replicas("web") if t not in first]
        c.health(new[-1])
        assert len(c.ending("web")) == step
        assert seen(c).ready == 3
    assert c.ending("web") == first
    assert (seen(c).ready, seen(c).updated) == (3, 3)


def test_what_does_not_make_replicas_takes_effect_at_once() -> None:
    c = Cluster()
    c.node("n1", credit=10)
    c.service("web", replicas=2)
    before = c.replicas("web")
    answer = c.update("web", replicas=2, surge=3, unavailable=1)
    assert isinstance(answer, ServiceSeen)
    assert (answer.generation, answer.version) == (1, 2)
    assert c.replicas("web") == before
    # And what changes nothing is no change.
    assert c.update("web", replicas=2, surge=3, unavailable=1) == answer


def test_scaling_down_ends_the_unhealthy_and_scaling_up_adds() -> None:
    c = Cluster()
    node = c.node("n1", credit=10)
    c.service("web", replicas=3)
    one, two, three = c.replicas("web")
    c.healthy("web")
    c.health(one, InstanceState.UNHEALTHY)
    c.update("web", replicas=2)
    assert c.replicas("web") == [two, three]
    assert (one, 1) in node.ended
    c.update("web", replicas=4)
    assert len(c.replicas("web")) == 4


def test_replicas_that_wait_are_ended_without_a_node() -> None:
    c = Cluster()
    c.service("web", replicas=2)
    tasks = c.replicas("web")
    c.update("web", replicas=0)
    assert [c.state_of(task) for task in tasks] == [TaskState.CANCELLED] * 2


def test_a_replica_that_is_being_ended_is_shown_as_draining_until_it_is_gone() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.healthy("web")
    c.cancel(task)
    (replacement,) = c.replicas("web")
    assert replacement != task
    assert [i.state for i in seen(c).instances] == [InstanceState.DRAINING]
    node.fail(task, "CANCELLED")
    assert c.state_of(task) is TaskState.CANCELLED
    assert not seen(c).instances, "its key may still be there"
    assert reason(c.retry(task, c.state.services[WEB].spec.replica)) == "TASK_IS_REPLICA"


def test_a_replica_that_ends_well_when_asked_to_is_cancelled() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.replicas("web")
    c.cancel(task)
    node.succeed(task)
    assert c.state_of(task) is TaskState.CANCELLED


def test_health_of_an_earlier_attempt_counts_for_nothing() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.healthy("web")
    node.fail(task)
    c.advance(5.0)
    assert c.row(task).attempt == 2
    assert (seen(c).ready, seen(c).instances) == (0, ())
    c.healthy("web")
    assert seen(c).ready == 1


def test_a_node_that_is_drained_keeps_its_replica_until_another_is_healthy() -> None:
    c = Cluster()
    c.node("n1", credit=1)
    c.service("web", replicas=1)
    (task,) = c.healthy("web")
    c.node("n2")
    c.control("n1", Control(cordoned=True, draining=True, drain_grace=30.0))
    old, new = c.replicas("web")
    assert (old, c.place_of(new)) == (task, "n2")
    c.health(new)
    assert c.ending("web") == [task]


def test_a_drain_whose_grace_passes_moves_the_replica() -> None:
    c = Cluster()
    node = c.node("n1", credit=1)
    c.service("web", replicas=1)
    (task,) = c.healthy("web")
    c.control("n1", Control(cordoned=True, draining=True, drain_grace=1.0))
    assert len(c.replicas("web")) == 2, "the other one waits for a node"
    node.give_back(task)
    assert c.replicas("web") == [task], "the one that is there longest is kept"
    c.node("n2")
    assert c.place_of(task) == "n2"


def test_a_cordoned_node_keeps_its_replicas() -> None:
    c = Cluster()
    c.node("n1")
    c.service("web", replicas=1)
    before = c.healthy("web")
    c.node("n2")
    c.control("n1", Control(cordoned=True))
    assert (c.replicas("web"), c.ending("web")) == (before, [])


def test_a_deleted_service_goes_with_its_last_replica() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=2)
    tasks = c.healthy("web")
    assert c.delete_service("web") == Done()
    assert c.ending("web") == tasks
    assert reason(c.update("web", replicas=3)) == "SERVICE_BEING_DELETED"
    assert reason(c.service("web", replicas=1)) == "SERVICE_ALREADY_EXISTS"
    assert c.delete_service("web") == Done()
    for task in tasks:
        assert WEB in c.state.services
        node.fail(task, "SIGNAL")
    assert WEB not in c.state.services
    assert c.touched[-2:] == [WEB, WEB], "who watches it is told"
    assert reason(c.delete_service("web")) == "SERVICE_NOT_FOUND"


def test_the_queue_of_replicas_stays_while_there_are_services() -> None:
    c = Cluster()
    c.service("web", outside=True)

    def delete() -> object:
        return c.call(lambda token: e.QueueDeleteAsked(SERVICES_QUEUE, e.Request(), token))

    assert reason(delete()) == "QUEUE_IN_USE"
    c.delete_service("web")
    assert delete() == Done()


def test_repeated_calls_get_their_first_answer_and_change_nothing() -> None:
    c = Cluster()
    create, update = e.Request("r1", b"c"), e.Request("r2", b"u")
    c.service("web", create, replicas=1)
    again = c.service("web", create, replicas=1)
    assert isinstance(again, ServiceSeen)
    c.update("web", update, replicas=2)
    answer = c.update("web", update, replicas=2)
    assert isinstance(answer, ServiceSeen)
    assert answer.version == 2
    assert len(c.replicas("web")) == 2
    assert reason(c.service("api", e.Request("r1", b"other"))) == "REQUEST_ID_REUSED"


def test_an_update_of_another_version_is_refused() -> None:
    c = Cluster()
    c.service("web", replicas=1)
    what = c.state.services[WEB].spec
    answer = c.call(lambda token: e.ServiceUpdateAsked(WEB, what, 7, e.Request(), token))
    assert reason(answer) == "ETAG_MISMATCH"


def test_services_and_replicas_are_bounded() -> None:
    c = Cluster(limits=Limits(services=2, instances=5))
    c.service("a", replicas=3)
    assert reason(c.service("b", replicas=3)) == "TOO_MANY_REPLICAS"
    c.service("b", replicas=2)
    assert reason(c.update("b", replicas=3)) == "TOO_MANY_REPLICAS"
    assert reason(c.service("c")) == "TOO_MANY_SERVICES"


def test_many_replicas_are_made_in_parts() -> None:
    c = Cluster(limits=Limits(part_tasks=7))
    c.service("web", replicas=100)
    assert len(c.replicas("web")) == 100
    c.update("web", replicas=1)
    assert len(c.replicas("web")) == 1


def test_outside_processes_are_shown_as_they_say() -> None:
    c = Cluster()
    c.service("db", outside=True)
    record = r.InstanceRecord()
    record.instance.state = INSTANCE_STATE_HEALTHY
    c.instance("db", "one", record)
    assert seen(c, ServiceName("db")).ready == 1
    c.instance("db", "one", None)
    assert not seen(c, ServiceName("db")).instances


def test_keys_of_strangers_among_the_instances_are_passed_over() -> None:
    fold = Fold()
    record = r.InstanceRecord()
    record.instance.state = INSTANCE_STATE_HEALTHY
    good = record.SerializeToString()
    for key in (
        b"services/",
        b"services/a",
        b"services/a/b/c",
        b"services/\xff/\xff",
        b"services//b",
    ):
        for value in (good, b"", b"\xff\xff"):
            fold.put(key, value, 1, 9)
            assert fold.state.instance_count == 0
        fold.deleted(key)
    fold.put(b"services/a/b", b"\xff\xff", 1, 9)
    fold.put(b"services/a/b", good, 1, 0)
    assert fold.state.instance_count == 0
    fold.put(b"services/a/b", good, 1, 9)
    assert fold.state.instance_count == 1
    # As the leader takes it, who follows the same keys.
    fold.put(b"services/a/b", b"\xff\xff", 1, 9)
    assert fold.state.instance_count == 0


@pytest.mark.parametrize("how", ["followed", "loaded"])
def test_the_next_leader_goes_on_with_an_update(how: str) -> None:
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1", credit=10)
    c.service("web", replicas=2)
    first = c.healthy("web")
    c.update("web", replicas=2, argv="better")
    (new,) = [t for t in c.replicas("web") if t not in first]
    # The leader dies before it has seen that the new one is healthy.
    row = c.row(new)
    record = r.InstanceRecord(agent=row.instance, attempt=row.attempt)
    record.instance.state = INSTANCE_STATE_HEALTHY
    log.instance("web", new, record)
    c.lead(log.followed() if how == "followed" else log.loaded().state)
    node.register()
    node.open()
    node.credit(10)
    assert len(c.ending("web")) == 1
    assert len(c.replicas("web")) == 3
    c.healthy("web")
    c.healthy("web")
    assert c.ending("web") == first


def test_the_next_leader_ends_a_deleted_service() -> None:
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1")
    c.service("web", replicas=1)
    (task,) = c.replicas("web")
    c.delete_service("web")
    c.lead(log.followed())
    node.register()
    node.open()
    node.fail(task, "SIGNAL")
    assert not c.state.services
    assert not [key for key in log.kept if key.startswith(b"service-specs/")]


def test_ordinary_tasks_end_as_ever_beside_services() -> None:
    c = Cluster()
    node = c.node("n1")
    c.service("web", replicas=1)
    task = c.submit(spec())
    node.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED


def test_replicas_start_beside_slots_that_are_all_taken() -> None:
    c = Cluster()
    c.node("n1", credit=1)
    running, waiting = c.submit(), c.submit()
    c.service("web", replicas=2)
    assert [c.state_of(task) for task in c.replicas("web")] == [TaskState.RUNNING] * 2
    assert c.state_of(running) is TaskState.RUNNING
    assert c.state_of(waiting) is TaskState.PENDING


def test_an_agent_without_credit_gets_no_replica() -> None:
    c = Cluster()
    c.node("n1", credit=0)
    c.service("web", replicas=1)
    assert [c.state_of(task) for task in c.replicas("web")] == [TaskState.PENDING]
