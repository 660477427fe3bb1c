"""`host:port`: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings
from node_agent.config import AgentSettings
from quorate.client.transport.discovery import parse_addresses
from quorate.runtime.config import EtcdSettings
from quorate.runtime.errors import QuorateError
from quorate.runtime.network.addresses import split_address
from scheduler.config import SchedulerSettings


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:1", ("localhost", 1)),
        ("10.0.0.1:65535", ("10.0.0.1", 65_535)),
        ("[::1]:7480", ("::1", 7480)),
        ("a:00080", ("a", 80)),
    ],
)
def test_host_and_port(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


WRONG = ["", "a", "a:", ":1", "a:b", "a:-1", "a:+1", "a:1_0", "a: 1", "a:65536", "a:000001", "a:²"]


@pytest.mark.parametrize("text", WRONG)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port") as refused:
        split_address(text)
    assert repr(text) in str(refused.value)


def test_port_0_is_for_listening_only() -> None:
    assert split_address("a:0", least_port=0) == ("a", 0)
    with pytest.raises(ValueError, match="is not host:port"):
        split_address("a:0")


@pytest.mark.parametrize("text", ["a:²", "a:65536", "a"])
@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (SchedulerSettings, "listen"),
        (AgentSettings, "listen"),
        (AgentSettings, "advertise"),
        (GatewaySettings, "listen"),
        (GatewaySettings, "schedulers"),
        (EtcdSettings, "etcd"),
    ],
)
def test_every_setting_refuses_in_the_same_words(
    make: Callable[..., object], setting: str, text: str
) -> None:
    with pytest.raises(ValidationError, match=f"'{text}' is not host:port") as refused:
        make(**{setting: text})
    assert refused.value.errors()[0]["loc"] == (setting,)


@pytest.mark.parametrize("make", [SchedulerSettings, AgentSettings, GatewaySettings])
def test_every_process_listens_somewhere(make: Callable[..., object]) -> None:
    with pytest.raises(ValidationError, match="'' is not host:port") as refused:
        make(listen="")
    assert refused.value.errors()[0]["loc"] == ("listen",)


@pytest.mark.parametrize("text", ["a:²", "a:65536", "a"])
def test_so_does_the_sdk(text: str) -> None:
    with pytest.raises(QuorateError, match=f"'{text}' is not host:port"):
        parse_addresses(text)
