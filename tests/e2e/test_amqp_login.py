"""Who may come in over AMQP with TLS and tokens: `quorate up --secure --amqp`. docs/security.md."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pika
import pytest
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from quorate.client.transport.discovery import LocalCluster
from quorate.local.certificates import Certificates
from quorate.local.plan import LocalPlan
from tests.support.amqp import door_of
from tests.support.local import running
from tools.gateway_http import https_context, token_of


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("login") / "c"
    plan = LocalPlan(data_dir=folder, schedulers=2, nodes=1, gateway=True, amqp=True, secure=True)
    with running(plan) as local:
        yield local


def connect(local: LocalCluster, user: str, password: str) -> pika.BlockingConnection:
    assert local.amqp.startswith("amqps://127.0.0.1:")
    credentials = pika.PlainCredentials(user, password)
    return pika.BlockingConnection(door_of(local).parameters(credentials=credentials))


def test_a_token_is_a_password(local):
    with connect(local, "local", token_of(local)) as connection:
        channel = connection.channel()
        channel.queue_declare("mine", exclusive=True)
        channel.confirm_delivery()
        # It is the caller who publishes.
        properties = pika.BasicProperties(user_id="local")
        channel.basic_publish("", "mine", b"m", properties, mandatory=True)
        assert channel.basic_get("mine", auto_ack=True)[1].user_id == "local"
        with pytest.raises(ChannelClosedByBroker) as closed:
            channel.basic_publish("", "mine", b"m", pika.BasicProperties(user_id="other"))
        assert closed.value.reply_code == 406


def test_a_certificate_names_its_caller(local):
    subject = "submitter:billing"
    certificates = Certificates(Path(local.tls.ca_file).parent)
    certificates.prepare([subject], dt.datetime.now(dt.UTC))
    files = certificates.of(subject)
    context = ssl.create_default_context(cafile=local.tls.ca_file)
    context.load_cert_chain(files.cert_file, files.key_file)
    parameters = door_of(local).parameters(
        credentials=ExternalCredentials(), ssl_options=pika.SSLOptions(context, "127.0.0.1")
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.queue_declare("mine", exclusive=True)
        channel.confirm_delivery()
        properties = pika.BasicProperties(user_id="billing")
        channel.basic_publish("", "mine", b"m", properties, mandatory=True)
        assert channel.basic_get("mine", auto_ack=True)[1].user_id == "billing"


def test_without_a_certificate_nobody_is_let_in_by_external(local):
    parameters = door_of(local).parameters(credentials=ExternalCredentials())
    with pytest.raises(AMQPConnectionError) as refused:
        pika.BlockingConnection(parameters)
    assert "ACCESS_REFUSED" in repr(refused.value)


@pytest.mark.parametrize("user", ["local", "somebody"])
def test_whoever_shows_no_token_of_their_own_is_refused(local, user):
    password = token_of(local) if user == "somebody" else "guest"
    with pytest.raises(AMQPConnectionError) as refused:
        connect(local, user, password)
    assert "ACCESS_REFUSED" in repr(refused.value)


def test_a_secret_is_replaced(local):
    """For tokens that expire: the connection stays."""
    with connect(local, "local", token_of(local)) as connection:
        connection.update_secret(token_of(local), "a new one")
        connection.channel().queue_declare("mine", exclusive=True)


# -- the management API


def ask(local: LocalCluster, path: str, password: str = "", **headers: str) -> Any:
    """As KEDA and Flower do: with the name and the token in Authorization: Basic."""
    shown = b64encode(f"local:{password or token_of(local)}".encode()).decode()
    request = urllib.request.Request(
        local.amqp_management + path, headers={"Authorization": f"Basic {shown}", **headers}
    )
    with urllib.request.urlopen(request, timeout=60, context=https_context(local.tls)) as answer:
        return json.load(answer)


def refused(local: LocalCluster, path: str, password: str = "", **headers: str) -> int:
    with pytest.raises(HTTPError) as error:
        ask(local, path, password, **headers)
    error.value.close()
    return error.value.code


def test_what_reads_rabbitmqs_management_api_reads_this_one(local):
    with connect(local, "local", token_of(local)) as connection:
        channel = connection.channel()
        channel.queue_declare("managed", durable=True, arguments={"x-max-length": 9})
        channel.queue_bind("managed", "amq.topic", "a.#")
        channel.confirm_delivery()
        for _ in range(3):
            channel.basic_publish("amq.topic", "a.b", b"m", mandatory=True)
        channel.basic_get("managed")
        # KEDA's scaler, for a queue and for an expression.
        found = ask(local, "queues/%2F/managed")
        assert [found[one] for one in ("messages", "messages_ready")] == [3, 2]
        assert found["message_stats"]["publish"] == 3
        assert found["message_stats"]["publish_details"]["rate"] >= 0
        assert (found["durable"], found["arguments"]) == (True, {"x-max-length": 9})
        query = "page=1&use_regex=true&pagination=false&name=%5Emana&page_size=100"
        page = ask(local, f"queues/%2F?{query}")
        assert ([one["name"] for one in page["items"]], page["page_count"]) == (["managed"], 1)
        # Flower's page about the broker.
        assert "managed" in [one["name"] for one in ask(local, "queues/%2F")]
        own = ask(local, "connections")
        assert [(one["user"], one["vhost"]) for one in own] == [("local", "/")]
        assert [one["number"] for one in ask(local, "channels")] == [channel.channel_number]
        assert ask(local, "overview")["queue_totals"]["messages"] >= 3
        assert ask(local, "health/checks/alarms") == {"status": "ok"}
        assert ask(local, "whoami")["name"] == "local"
        (binding,) = ask(local, "queues/%2F/managed/bindings")
        assert (binding["source"], binding["routing_key"]) == ("amq.topic", "a.#")
        assert "managed" in [one["name"] for one in ask(local, "definitions")["queues"]]
        channel.queue_delete("managed")
    assert refused(local, "queues/%2F/managed") == 404


def test_the_management_api_knows_its_callers(local):
    assert refused(local, "whoami", "wrong") == 401
    assert refused(local, "overview", token_of(local) + "x") == 401
    # A page whose name was resolved anew to this machine.
    assert refused(local, "whoami", Host="evil.example") == 421
    assert refused(local, "whoami", Cookie="x" * 70_000) == 431
