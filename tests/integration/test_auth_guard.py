"""The guard in a gRPC server: who gets in, limits, streams whose credential ends, its log."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog.testing

from quorate.runtime.errors import from_rpc_error
from quorate.security.credentials import tokens
from quorate.security.guard import Guard, GuardInterceptor
from quorate.security.identity import Role, current_caller
from quorate.security.permissions import Rule
from quorate.security.settings import AuthSettings

C = grpc.StatusCode
READ = Rule("tasks.read")
RULES = {f"/t.T/{name}": READ for name in ("Unary", "Many", "Written", "Both", "Upload")} | {
    "/t.T/Open": Rule(public=True),
    "/t.T/Admin": Rule("queues.write"),
}


def me() -> bytes:
    return str(current_caller()).encode()


class Handlers:
    """Every kind of method, in each of the ways that grpc.aio lets one write it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def unary(self, request: bytes, context: Any) -> bytes:
        return me()

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            yield me()
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def written(self, request: bytes, context: Any) -> None:
        await context.write(me())

    async def both(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield me() + request

    async def upload(self, requests: Any, context: Any) -> bytes:
        return b"".join([request async for request in requests]) + me()

    def methods(self) -> dict[str, Any]:
        return {
            **dict.fromkeys(
                ("Unary", "Open", "Admin", "Undeclared"),
                grpc.unary_unary_rpc_method_handler(self.unary),
            ),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Written": grpc.unary_stream_rpc_method_handler(self.written),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
        }


class Served:
    """A guarded server, a channel to it, and a token."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.file = folder / "tokens"
        self.token = self.make()
        # Not less: the file has whole seconds.
        self.short = self.make(seconds=3)
        self.settings = AuthSettings(auth="tokens", auth_tokens_file=str(self.file), **limits)
        self.handlers = Handlers()

    def make(self, **lasts: float) -> str:
        return tokens.create(
            self.file,
            "bob",
            Role.VIEWER,
            now=dt.datetime.now(dt.UTC),
            lasts=dt.timedelta(**(lasts or {"days": 1})),
        )

    def bearer(self, token: str = "") -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {token or self.token}"),)


@asynccontextmanager
async def serving(folder: Path, **limits: Any) -> AsyncIterator[tuple[Served, Any]]:
    served = Served(folder, **limits)
    server = grpc.aio.server(interceptors=[GuardInterceptor(Guard(served.settings, RULES))])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("t.T", served.handlers.methods()),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield served, channel
    finally:
        await server.stop(0)


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call failed: code and reason."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), from_rpc_error(failed.value).reason


async def test_handlers_of_every_kind_learn_who_calls(tmp_path: Path):
    async with serving(tmp_path) as (served, channel):
        how = {"metadata": served.bearer(), "timeout": 20}
        assert await channel.unary_unary("/t.T/Unary")(b"", **how) == b"viewer:bob"
        assert await channel.unary_stream("/t.T/Many")(b"", **how).read() == b"viewer:bob"
        assert await channel.unary_stream("/t.T/Written")(b"", **how).read() == b"viewer:bob"
        assert [a async for a in channel.stream_stream("/t.T/Both")(iter((b"1",)), **how)] == [
            b"viewer:bob1"
        ]
        assert await channel.stream_unary("/t.T/Upload")(iter((b"1",)), **how) == b"1viewer:bob"
        # Public: nobody is asked for.
        assert await channel.unary_unary("/t.T/Open")(b"", timeout=60) == b"None"


async def test_what_is_refused_and_how(tmp_path: Path):
    async with serving(tmp_path) as (served, channel):

        async def ask(name: str, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
            stub = channel.unary_unary(f"/t.T/{name}")
            return await code_of(stub(b"", metadata=metadata, timeout=60))

        (good,) = served.bearer()
        assert await ask("Unary") == (C.UNAUTHENTICATED, "CREDENTIALS_MISSING")
        assert await ask("Unary", good, good) == (C.UNAUTHENTICATED, "CREDENTIALS_TWICE")
        for value in (
            "",
            "Bearer",
            "Bearer ",
            "bearer x",
            good[1].partition(" ")[2],
            "Bearer a.b.c",
        ):
            assert await ask("Unary", ("authorization", value)) == (
                C.UNAUTHENTICATED,
                "TOKEN_INVALID",
            )
        assert await ask("Admin", good) == (C.PERMISSION_DENIED, "ROLE_LACKS_PERMISSION")
        assert await ask("Undeclared", good) == (C.PERMISSION_DENIED, "NO_PERMISSION_DECLARED")
        assert (await ask("Missing"))[0] is C.UNIMPLEMENTED


async def test_a_stream_ends_when_its_token_expires(tmp_path: Path):
    async with serving(tmp_path) as (served, channel):
        call = channel.unary_stream("/t.T/Many")(
            b"", metadata=served.bearer(served.short), timeout=20
        )
        assert await call.read() == b"viewer:bob"
        assert await code_of(call.read()) == (C.UNAUTHENTICATED, "TOKEN_EXPIRED")
        await asyncio.wait_for(served.handlers.ended.wait(), 60)


@pytest.mark.parametrize("how", ["taken out", "another role"])
async def test_streams_end_soon_after_their_token_was_taken_out_and_others_go_on(
    tmp_path: Path, how: str
):
    async with serving(tmp_path) as (served, channel):
        stub = channel.unary_stream("/t.T/Many")
        revoked = [stub(b"", metadata=served.bearer(), timeout=30) for _ in range(3)]
        other = stub(b"", metadata=served.bearer(served.make()), timeout=30)
        for call in (*revoked, other):
            assert await call.read() == b"viewer:bob"
        began = time.monotonic()
        identifier = tokens.id_of(served.token)
        if how == "taken out":
            assert tokens.revoke(served.file, identifier) == 1
        else:
            text = served.file.read_text().splitlines()
            (line,) = (one for one in text if identifier in one)
            changed = line.replace('"viewer"', '"service"')
            served.file.write_text("\n".join(changed if one is line else one for one in text))
        for call in revoked:
            assert await code_of(call.read()) == (C.UNAUTHENTICATED, "TOKEN_REVOKED")
        assert time.monotonic() - began < 3
        # A token of the same name, role and queues is another token.
        reading = asyncio.ensure_future(other.read())
        assert not (await asyncio.wait([reading], timeout=1.5))[0]
        other.cancel()
        await asyncio.wait([reading])


async def test_a_caller_has_so_many_streams_and_gets_them_back(tmp_path: Path):
    async with serving(tmp_path, auth_streams=2) as (served, channel):
        stub = channel.unary_stream("/t.T/Many")
        calls = [stub(b"", metadata=served.bearer(), timeout=60) for _ in range(2)]
        for call in calls:
            assert await call.read() == b"viewer:bob"
        late = stub(b"", metadata=served.bearer(), timeout=60)
        assert await code_of(late.read()) == (C.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        calls[0].cancel()
        await asyncio.wait_for(served.handlers.ended.wait(), 60)
        deadline = time.monotonic() + 5
        while True:
            again = stub(b"", metadata=served.bearer(), timeout=60)
            try:
                assert await again.read() == b"viewer:bob"
                break
            except grpc.aio.AioRpcError:
                assert time.monotonic() < deadline


async def test_a_caller_beyond_its_rate_is_told_when_to_come_again(tmp_path: Path):
    async with serving(tmp_path, auth_rate=1) as (served, channel):
        stub = channel.unary_unary("/t.T/Unary")
        for _ in range(2):
            await stub(b"", metadata=served.bearer(), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub(b"", metadata=served.bearer(), timeout=60)
        error = from_rpc_error(refused.value)
        assert (error.code, error.reason) == (C.RESOURCE_EXHAUSTED, "CALL_RATE_EXCEEDED")
        trailing: Any = refused.value.trailing_metadata()
        assert b"google.rpc.RetryInfo" in dict(trailing)["grpc-status-details-bin"]


async def test_rejections_are_logged_without_secrets_and_not_without_bound(tmp_path: Path):
    with structlog.testing.capture_logs() as lines:
        async with serving(tmp_path) as (served, channel):
            stub = channel.unary_unary("/t.T/Admin")
            for _ in range(40):
                await code_of(stub(b"", metadata=served.bearer(), timeout=60))
    refused = [line for line in lines if line["event"] == "auth_refused"]
    assert 10 <= len(refused) < 30
    assert refused[0]["caller"] == "viewer:bob"
    assert refused[0]["method"] == "/t.T/Admin"
    assert served.token not in repr(lines)
