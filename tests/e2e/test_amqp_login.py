"""Who may come in over AMQP with TLS and tokens: `quorate up --secure --amqp`. docs/security.md."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.credentials import ExternalCredentials
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

from quorate.client.transport.discovery import LocalCluster
from quorate.local.certificates import Certificates
from quorate.local.plan import LocalPlan
from tests.support.amqp import door_of
from tests.support.local import running
from tools.gateway_http import token_of


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
