"""A real Celery application, whose broker is the AMQP door: only its URL says so."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from kombu.transport import native_delayed_delivery

from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.amqp import door_of, snippet, until
from tests.support.local import running

ROOT = Path(__file__).resolve().parents[2]
WAIT = 30.0


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application, with a worker of its own."""
    folder = tmp_path_factory.mktemp("celery")
    plan = LocalPlan(
        data_dir=folder / "c", schedulers=1, nodes=1, gateway=True, amqp=True, secure=tls.ON
    )
    with running(plan) as local:
        door = door_of(local)
        os.environ["CELERY_BROKER_URL"] = url_of(snippet(__file__, door.url))
        os.environ["CELERY_CA_FILE"] = door.ca_file
        log = folder / "worker.log"
        try:
            with log.open("wb") as output:
                worker = subprocess.Popen(
                    (
                        *(sys.executable, "-m", "celery", "-A", "tests.support.celery_app"),
                        *("worker", "--pool", "threads", "--concurrency", "2", "-n", "w@test"),
                        *("--loglevel", "info"),
                    ),
                    cwd=ROOT,
                    stdout=output,
                    stderr=output,
                )
            try:
                # It has much to import.
                until(lambda: "w@test ready." in log.read_text(), 100)
                yield importlib.import_module("tests.support.celery_app")
            except BaseException:
                sys.stderr.write(log.read_text()[-5_000:])
                raise
            finally:
                worker.terminate()
                worker.wait(20)
                sys.stderr.write(log.read_text()[-5_000:])
        finally:
            del os.environ["CELERY_BROKER_URL"], os.environ["CELERY_CA_FILE"]
            module = sys.modules.pop("tests.support.celery_app", None)
            if module is not None:
                module.app.backend.result_consumer.stop()
                module.app.close()
                kombu.pools.reset()


def url_of(page: str) -> str:
    """The broker of the application that the page for users shows."""
    shown: dict[str, Any] = {}
    exec(page, shown)
    with shown["app"] as app:
        return str(app.conf.broker_url)


def test_tasks_run_and_their_results_come_back(application):
    results = [application.add.delay(number, 1) for number in range(20)]
    assert [result.get(timeout=WAIT) for result in results] == list(range(1, 21))


def test_a_task_is_tried_again(application):
    assert application.third_time.delay().get(timeout=WAIT) == 2


def test_an_error_comes_back(application):
    with pytest.raises(ValueError, match="on purpose"):
        application.fail.delay().get(timeout=WAIT)


def test_tasks_with_an_eta_do_not_stop_the_others(application):
    """The worker raises the prefetch of its running consumer for each of them."""
    later = [application.add.apply_async((number, 0), countdown=1) for number in range(6)]
    begun = time.time()
    assert application.add.delay(1, 1).get(timeout=WAIT) == 2
    assert [result.get(timeout=WAIT) for result in later] == list(range(6))
    assert time.time() - begun >= 0.9


def test_native_delayed_delivery_goes_through_queues_of_up_to_four_years(application):
    """What Celery does with a countdown where queues are quorum queues: 28 queues with a TTL, each
    the dead letter exchange of the one before it."""
    with application.app.connection_for_write() as connection:
        native_delayed_delivery.declare_native_delayed_delivery_exchanges_and_queues(
            connection, "quorum"
        )
        channel = connection.channel()
        exchange = Exchange("late", type="topic")
        queue = Queue("late", exchange, "late", channel=channel)
        queue.declare()
        native_delayed_delivery.bind_queue_to_native_delayed_delivery_exchange(connection, queue)
        key = native_delayed_delivery.calculate_routing_key(1, "late")
        begun = time.time()
        Producer(channel).publish(
            "m", exchange=native_delayed_delivery.level_name(27), routing_key=key
        )
        while (message := queue.get(no_ack=True)) is None:
            assert time.time() < begun + WAIT, "it never came"
            time.sleep(0.05)
        assert time.time() - begun >= 1.0
        assert message.payload == "m"
        (death,) = message.headers["x-death"]
        assert (death["queue"], death["reason"]) == ("celery_delayed_0", "expired")


def test_workers_answer_remote_control(application):
    inspect = application.app.control.inspect(timeout=10, limit=1)
    assert inspect.ping() == {"w@test": {"ok": "pong"}}
    later = application.add.apply_async((1, 1), countdown=600)
    until_scheduled(application, later.id)
    application.app.control.revoke(later.id, reply=True, timeout=10, limit=1)
    revoked = application.app.control.inspect(timeout=10, limit=1).revoked()
    assert later.id in revoked["w@test"]


def until_scheduled(application: Any, id: str) -> None:
    """The worker has a task that is not due."""
    end = time.monotonic() + WAIT
    while True:
        found = application.app.control.inspect(timeout=10, limit=1).scheduled() or {}
        if any(one["request"]["id"] == id for one in found.get("w@test", ())):
            return
        assert time.monotonic() < end, "the worker never had it"
