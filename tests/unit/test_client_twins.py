"""Client and AsyncClient are made alike: the same arguments, the same refusals, the same access."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.messages.methods import MessageMethods
from quorate.client.messages.topology import TopologyMethods
from quorate.runtime.errors import QuorateError

Make = Callable[..., object]
both = pytest.mark.parametrize("make", [Client, AsyncClient])


def test_they_take_the_same_arguments():
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


@both
@pytest.mark.parametrize("limit", [0, -1, (1 << 20) + 1])
def test_a_payload_limit_beyond_the_clusters_greatest_is_refused(make: Make, limit: int):
    with pytest.raises(QuorateError, match="payload_limit: must be 1 to 1,048,576 bytes"):
        make("127.0.0.1:1", payload_limit=limit)


@both
def test_an_address_that_is_none_is_refused(make: Make):
    with pytest.raises(QuorateError, match="'nowhere' is not host:port"):
        make("nowhere")


@both
def test_a_token_and_its_file_are_one_too_many(make: Make, tmp_path: Path):
    with pytest.raises(QuorateError, match="not both"):
        make("127.0.0.1:1", token="secret", token_file=tmp_path / "token")


@both
async def test_a_token_file_may_be_a_path(
    make: Callable[..., Client | AsyncClient], tmp_path: Path
):
    file = tmp_path / "token"
    file.write_text("secret\n")
    client = make("127.0.0.1:1", token_file=file)
    assert client.calls.addresses == ["127.0.0.1:1"]
    closed = client.close()
    if isinstance(closed, Awaitable):
        await closed


def test_methods_about_messages_take_the_same_arguments():
    ours = [name for name in vars(MessageMethods) | vars(TopologyMethods) if name[0] != "_"]
    assert len(ours) > 20
    for name in sorted(set(ours) - {"calls"}):
        expected = inspect.signature(getattr(Client, name)).parameters
        found = inspect.signature(getattr(AsyncClient, name)).parameters
        assert list(found) == list(expected), name
        assert [one.default for one in found.values()] == [
            one.default for one in expected.values()
        ], name
