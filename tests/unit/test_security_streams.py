"""The watch over open streams' tokens: it looks while there are streams, and at their tokens."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from quorate.security.credentials import tokens
from quorate.security.credentials.streams import TokenStreams
from quorate.security.identity import Caller, Role

NOW = dt.datetime.now(dt.UTC)


class Looks(tokens.TokenFile):
    """Tells of each look."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.looked = asyncio.Event()

    def look(self) -> None:
        super().look()
        self.looked.set()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("quorate.security.credentials.streams.LOOK", 0.02)
    path = tmp_path / "tokens"
    for name in ("bob", "eve"):
        tokens.create(path, name, Role.VIEWER, now=NOW, lasts=None)
    return path


async def test_it_looks_only_while_a_stream_is_open(file: Path) -> None:
    known = Looks(file)
    streams = TokenStreams(known)
    identifier, entry = next(iter(tokens.read(file).items()))
    async with asyncio.timeout(None) as until:
        streams.add(until, identifier, entry.caller)
        for _ in range(3):
            known.looked.clear()
            async with asyncio.timeout(60):
                await known.looked.wait()
        streams.remove(until)
        known.looked.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await known.looked.wait()
    assert not until.expired()


async def stay(streams: TokenStreams, token_id: str, caller: Caller) -> None:
    """An open stream; raises TimeoutError when it is ended."""
    async with asyncio.timeout(None) as until:
        streams.add(until, token_id, caller)
        try:
            await asyncio.Event().wait()
        finally:
            streams.remove(until)


async def test_only_streams_of_the_token_that_went_are_ended(file: Path) -> None:
    streams = TokenStreams(tokens.TokenFile(file))
    (bob, one), (eve, other) = tokens.read(file).items()
    stays = asyncio.ensure_future(stay(streams, eve, other.caller))
    goes = [asyncio.ensure_future(stay(streams, bob, one.caller)) for _ in range(2)]
    await asyncio.sleep(0)
    tokens.revoke(file, "bob")
    done, _ = await asyncio.wait(goes, timeout=5)
    assert [type(task.exception()) for task in done] == [TimeoutError] * 2
    # One that came in with the former tokens ends at the next change of the file.
    late = asyncio.ensure_future(stay(streams, bob, one.caller))
    await asyncio.sleep(0)
    tokens.create(file, "zoe", Role.VIEWER, now=NOW, lasts=None)
    await asyncio.wait([late], timeout=5)
    assert isinstance(late.exception(), TimeoutError)
    assert not stays.done()
    stays.cancel()
    await asyncio.wait([stays])


async def test_a_stream_that_has_expired_already_is_left_alone(file: Path) -> None:
    known = tokens.TokenFile(file)
    streams = TokenStreams(known)
    identifier, entry = next(iter(tokens.read(file).items()))
    try:
        async with asyncio.timeout(0) as until:
            streams.add(until, identifier, entry.caller)
            await asyncio.Event().wait()
    except TimeoutError:
        tokens.revoke(file, identifier)
    async with asyncio.timeout(60):
        while not known.generation:
            await asyncio.sleep(0)
    assert until.expired()
    # And the watch goes on.
    late = asyncio.ensure_future(stay(streams, identifier, entry.caller))
    await asyncio.sleep(0)
    tokens.create(file, "zoe", Role.VIEWER, now=NOW, lasts=None)
    await asyncio.wait([late], timeout=5)
    assert isinstance(late.exception(), TimeoutError)
    streams.remove(until)
