"""Messages that become tasks, and messages about tasks, through real processes; leaders are killed
in the middle."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from examples.messages import tasks_of_messages
from quorate.client.errors import TaskFailed
from quorate.client.transport.discovery import LocalCluster, read_local_cluster
from quorate.client.transport.rpcs import CREATE_QUEUE, PAUSE_QUEUE, new_request_id
from quorate.local.plan import LocalPlan
from quorate.v1 import queue_pb2, scheduler_pb2
from tests.support import forked, tls
from tests.support.local import running

MESSAGES = 1_500


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("messages") / "data"
    plan = LocalPlan(data_dir=folder, schedulers=2, nodes=1, slots=2, secure=tls.ON)
    with running(plan) as local:
        yield local


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[quorate.Client]:
    with quorate.Client(data_dir=cluster.data_dir) as found:
        yield found


def create_queue(client: quorate.Client, name: str, **fields: object) -> None:
    queue = queue_pb2.Queue(name=name, **fields)  # type: ignore[arg-type]
    request = scheduler_pb2.CreateQueueRequest(queue=queue, request_id=new_request_id())
    client.calls.call(CREATE_QUEUE, request)


def kill_leader(client: quorate.Client, local: LocalCluster) -> None:
    leader = next(one.name for one in client.cluster().schedulers if one.leader)
    found = read_local_cluster(Path(local.data_dir))
    assert found is not None
    process = next(one for one in found.processes if one.name == leader)
    os.kill(process.pid, signal.SIGKILL)


def test_what_a_task_gets_of_its_message(client: quorate.Client) -> None:
    create_queue(client, "lengths")
    client.set_message_template("lengths", "builtins:len")
    client.declare_exchange("words", "topic")
    client.bind("", "words", "long.#", to_task_queue="lengths")
    client.publish("words", "four", routing_key="long.words", message_id="w-1")
    client.publish("words", [1, 2, 3], routing_key="long.lists")
    client.publish("words", "not bound", routing_key="short")
    by_key = {one.spec.message.routing_key: one.id for one in client.tasks(queue="lengths")}
    assert by_key.keys() == {"long.words", "long.lists"}
    assert client.get(by_key["long.words"]).result(timeout=60) == 4
    assert client.get(by_key["long.lists"]).result(timeout=60) == 3

    program = 'test "$QUORATE_MESSAGE_ROUTING_KEY,$QUORATE_MESSAGE_ID,$(cat)" = "k,w-2,body"'
    create_queue(client, "programs")
    client.set_message_template("programs", ["sh", "-c", program])
    client.bind("", "words", "k", to_task_queue="programs")
    client.publish("words", "body", routing_key="k", message_id="w-2")
    (task,) = client.tasks(queue="programs")
    assert not task.spec.message.body, "the list has no payloads"
    assert client.get(task.id).result(timeout=60) == 0
    client.delete_exchange("words")


def test_the_example_makes_a_task_of_each_message(
    cluster: LocalCluster,
    client: quorate.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("QUORATE_DATA_DIR", cluster.data_dir)
    assert tasks_of_messages.main(["5"]) == 0
    assert capsys.readouterr().out == "5 tasks done\n"
    client.delete_exchange(tasks_of_messages.EXCHANGE)


def test_each_confirmed_message_is_one_task_while_leaders_are_killed(
    client: quorate.Client, cluster: LocalCluster
) -> None:
    create_queue(client, "held")
    client.set_message_template("held", ["true"])
    client.declare_exchange("flood", "fanout")
    client.bind("", "flood", to_task_queue="held")
    pause = scheduler_pb2.PauseQueueRequest(name="held", request_id=new_request_id())
    client.calls.call(PAUSE_QUEUE, pause)
    with client.producer("flood") as producer:
        for number in range(MESSAGES):
            producer.send("x", message_id=f"m{number}")
            if number in (MESSAGES // 3, 2 * MESSAGES // 3):
                kill_leader(client, cluster)
    found = Counter(one.spec.message.properties.message_id for one in client.tasks(queue="held"))
    assert found == Counter(f"m{number}" for number in range(MESSAGES))
    client.delete_exchange("flood")


def test_ends_of_tasks_are_published_also_over_the_command_line(
    client: quorate.Client, cluster: LocalCluster
) -> None:
    def shell(*arguments: str) -> str:
        end = arguments.index("--") if "--" in arguments else len(arguments)
        where = ("--data-dir", cluster.data_dir)
        done = forked.run("quorate", *arguments[:end], *where, *arguments[end:])
        assert done.code == 0, done
        return done.out.strip()

    shell("exchange", "create", "ends-of-all", "--type", "topic")
    shell("queue", "create", "telling", "--events", "ends-of-all")
    client.declare_queue("ends-seen")
    client.bind("ends-seen", "ends-of-all", "task.telling.*")
    shell("queue", "create", "handlers")
    shell("queue", "template", "set", "handlers", "--", "grep", "-q", "FAILED")
    assert shell("queue", "template", "show", "handlers") == "grep -q FAILED"
    arguments = ("--key", "task.*.failed", "--to-task-queue")
    shell("binding", "create", "ends-of-all", "handlers", *arguments)
    assert "task queue handlers" in shell("binding", "list", "--task-queue", "handlers")
    bound = client.options(queue="telling")
    good, bad = bound.command(["true"]), bound.command(["false"])
    good.result(timeout=60)
    with pytest.raises(TaskFailed):
        bad.result(timeout=60)
    seen = []
    with client.consume("ends-seen", timeout=60) as consumer:
        for delivery in consumer:
            seen.append(json.loads(delivery.body))
            delivery.ack()
            if len(seen) == 2:
                break
    states = {one["id"]: one["state"] for one in seen}
    assert states == {good.id: "SUCCEEDED", bad.id: "FAILED"}
    (task,) = client.tasks(queue="handlers")
    assert client.get(task.id).result(timeout=60) == 0
    shell("exchange", "delete", "ends-of-all")
    shell("mq", "delete", "ends-seen")
    assert shell("queue", "template", "remove", "handlers") == "handlers has no message template"
