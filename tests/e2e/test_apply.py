"""`quorate apply` on a real cluster: what it creates, changes, leaves alone and deletes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import quorate
from quorate.cli.services import services
from quorate.client.pages import list_limits, list_queues
from quorate.client.transport.discovery import LocalCluster
from quorate.local.plan import LocalPlan
from quorate.v1 import queue_pb2, service_pb2
from tests.support import tls
from tests.support.forked import Ended, run
from tests.support.local import running

TOML = """
[limits.licence]
max_running = 3

[exchanges.orders]
type = "topic"

[queues.mail]
max_running = 10
placement = "spread"
retention.age = 3600

[queues.mail.weights]
gold = 2.5

[services.still]
replicas = 0
command.argv = ["sleep", "1000"]

[schedules.report]
cron = "0 6 * * *"
queue = "mail"
task.command.argv = ["./report"]
"""
# As JSON and YAML have it; what was changed in the same places.
CHANGED = {
    "limits": {"licence": {"max_running": 4}},
    "queues": {"mail": {"max_running": None, "retention": {"count": 5}}},
    "schedules": {"report": {"cron": "0 7 * * *"}},
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("apply") / "cluster"
    plan = LocalPlan(data_dir=folder, schedulers=1, nodes=1, gateway=False, secure=tls.ON)
    with running(plan) as local:
        yield local


@pytest.fixture
def apply(local: LocalCluster, tmp_path: Path) -> Callable[..., Ended]:
    def applied(text: str, *flags: str, name: str = "cluster.toml") -> Ended:
        (tmp_path / name).write_text(text)
        file = str(tmp_path / name)
        return run("quorate", "apply", "-f", file, *flags, "--data-dir", str(local.data_dir))

    return applied


def actions(ended: Ended) -> dict[str, str]:
    assert ended.code == 0, ended.err
    return {f"{one['kind']} {one['name']}": one["action"] for one in json.loads(ended.out)}


def test_a_file_is_applied_changed_and_pruned(
    local: LocalCluster, apply: Callable[..., Ended]
) -> None:
    names = ("limit licence", "exchange orders", "queue mail", "service still", "schedule report")
    dry = apply(TOML, "--dry-run")
    assert dry.code == 0, dry.err
    assert "queue mail: to create\n" in dry.out
    assert '  placement: "PLACEMENT_STRATEGY_SPREAD"\n' in dry.out
    assert dry.out.endswith("5 to create.\n")
    with quorate.Client(data_dir=local.data_dir) as client:
        assert not [one for one in list_queues(client.calls) if one.name == "mail"]

        assert actions(apply(TOML, "--json")) == dict.fromkeys(names, "create")
        assert actions(apply(TOML, "--json")) == dict.fromkeys(names, "unchanged")
        (queue,) = [one for one in list_queues(client.calls) if one.name == "mail"]
        assert (queue.max_running, queue.retention.age.seconds) == (10, 3600)
        assert queue.placement == queue_pb2.PLACEMENT_STRATEGY_SPREAD
        assert dict(queue.weights) == {"gold": 2.5}

        done = apply(json.dumps(CHANGED), name="cluster.json")
        assert done.code == 0, done.err
        assert '  max_running: "3" -> "4"\n' in done.out
        assert '  max_running: "10" -> (not set)\n' in done.out
        assert '  cron: "0 6 * * *" -> "0 7 * * *"\n' in done.out
        assert done.out.endswith("3 changed.\n")
        (limit,) = list_limits(client.calls)
        assert limit.max_running == 4
        (queue,) = [one for one in list_queues(client.calls) if one.name == "mail"]
        # What the file does not name stays.
        assert not queue.HasField("max_running")
        assert (queue.retention.age.seconds, queue.retention.count) == (3600, 5)
        assert dict(queue.weights) == {"gold": 2.5}

        # An exchange cannot be changed; nothing else is either.
        mixed = 'limits.licence.max_running = 9\nexchanges.orders.type = "fanout"\n'
        refused = apply(mixed)
        assert refused.code != 0
        assert "which cannot be changed; delete it first" in refused.err
        (limit,) = list_limits(client.calls)
        assert limit.max_running == 4

        # An exchange from which bindings go is in use: they are in no file.
        client.bind_exchange("amq.fanout", "orders")
        kept = apply("[exchanges]\n", "--prune")
        assert kept.code != 0
        assert "exchange orders: " in kept.err
        assert list(client.bindings(exchange="orders"))
        client.unbind_exchange("amq.fanout", "orders")

        # Only kinds with a section are pruned, and never what is the cluster's own.
        empty = "[schedules]\n[services]\n[exchanges]\n[queues]\n[limits]\n"
        pruned = actions(apply(empty, "--prune", "--json"))
        assert pruned == dict.fromkeys(names, "delete")
        left = {one.name for one in list_queues(client.calls)}
        assert "mail" not in left
        assert not list(list_limits(client.calls))
        request = service_pb2.ListServicesRequest()
        assert not [
            one for one in client.calls.call(services.LIST, request).services if one.name == "still"
        ]
        assert apply("", "--prune").out == "The files declare nothing.\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queues.a.max_runing = 1", "queues.a.max_runing: does not exist; there are aging"),
        ('queues.a.placement = "best"', "queues.a.placement: 'best'"),
        ('queues.a.max_running = "many"', "queues.a.max_running: 'many'"),
        ("queue.a.max_running = 1", '"queue" is no section; there are limits'),
        ("queues.a = 1", "queues.a: must be a table of fields, not 1"),
        ("queues = 1", "queues must be a table by name"),
        ("queues.a.max_running = ", "cluster.toml: "),
        ('queues.a.name = "b"', "queues.a.name: must be 'a'"),
        ('exchanges.a.virtual_host = "x"', 'exchanges.a.virtual_host: must be "/"'),
    ],
)
def test_a_mistake_names_file_and_field(
    apply: Callable[..., Ended], text: str, message: str
) -> None:
    refused = apply(text)
    assert refused.code == 2, refused.out
    assert message in " ".join(refused.err.split())
    assert "Traceback" not in refused.err


def test_a_rejected_object_is_named_and_what_was_done_is_said(
    apply: Callable[..., Ended],
) -> None:
    mistake = apply("limits.half.max_running = 1\nqueues.half.shares = 1\n")
    assert (mistake.code, mistake.out) == (2, "")
    refused = apply("limits.half.max_running = 1\nqueues.half.share = -1\n")
    assert refused.code != 0
    assert "limit half: created" in refused.out
    assert "queue half: " in refused.err
    assert actions(apply("[limits]\n", "--prune", "--json"))["limit half"] == "delete"


def test_files_come_together_and_yaml_is_read(apply: Callable[..., Ended], tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("queues:\n  b:\n    max_length: 5\n  c:\n")
    text = "queues.a.max_length = 1"
    assert actions(apply(text, "-f", str(other), "--dry-run", "--json")) == {
        "queue a": "create", "queue b": "create", "queue c": "create"
    }  # fmt: skip
    other.write_text("queues: {a: {}}")
    twice = apply(text, "-f", str(other))
    assert (twice.code, "queues.a is declared twice" in " ".join(twice.err.split())) == (2, True)
    assert apply(text, "-f", str(tmp_path / "none.toml")).code == 2
