"""What a running task says, and what was asked of it, when the leader dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import quorate
from tests.support.cluster import Cluster
from tests.support.reporting import cancels, says_progress, snoozes
from tests.support.tls import client_environment

PATIENCE = 60.0


async def test_progress_is_known_to_the_next_leader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)
    async with Cluster(tmp_path, agents=1, slots=2) as cluster:
        await cluster.standby()
        await cluster.in_session()
        epoch, leader = await cluster.leader()
        addresses = ",".join(server.address for server in cluster.schedulers.values())
        go = tmp_path / "go"
        script = f"echo '50% half' >&$QUORATE_PROGRESS_FD; until [ -e {go} ]; do sleep 0.1; done"
        async with quorate.AsyncClient(addresses) as client, asyncio.timeout(PATIENCE):
            call = await client.submit(says_progress, str(go))
            program = await client.command(["sh", "-c", script])

            async def said(text: str, handle: quorate.AsyncTaskHandle) -> None:
                while True:
                    found = await handle.progress()
                    if found is not None and found.text == text:
                        return
                    await asyncio.sleep(0.05)

            await asyncio.gather(said("the last one", call), said("half", program))
            await program.pause("look at it first")
            leader.kill()
            await leader.gone()
            await cluster.leader(after=epoch)
            await asyncio.gather(said("the last one", call), said("half", program))
            # The one that was paused stands still until it is resumed.
            assert (await program.task()).pause.reason == "look at it first"
            assert (await program.task()).suspended
            go.touch()
            assert await call == "done"
            assert not await program.done()
            await program.resume()
            assert await program == 0
            assert await call.progress() is None


async def test_a_suspended_program_is_signalled_cancelled_and_ends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)
    trap = (
        "trap 'echo got USR1; exit 7' USR1; trap 'echo bye; exit 0' TERM; "
        "echo 0 >&$QUORATE_PROGRESS_FD; while :; do sleep 0.1; done"
    )
    async with Cluster(tmp_path, agents=1, slots=2) as cluster:
        await cluster.in_session()
        _, leader = await cluster.leader()
        async with quorate.AsyncClient(leader.address) as client, asyncio.timeout(PATIENCE):
            signalled = await client.command(["sh", "-c", trap])
            cancelled = await client.command(["sh", "-c", trap])
            for handle in (signalled, cancelled):
                while await handle.progress() is None:
                    await asyncio.sleep(0.02)
                await handle.pause()
            await signalled.signal("USR1")
            await cancelled.cancel()
            found = await cancelled.wait()
            assert found.error.type == "CANCELLED"
            written = b"".join([chunk.data async for chunk in cancelled.logs()])
            assert b"bye" in written, "it could end itself"
            await signalled.resume()
            found = await signalled.wait()
            assert (found.error.type, found.error.code) == ("EXIT_CODE", 7)


async def test_a_function_snoozes_and_cancels_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in client_environment().items():
        monkeypatch.setenv(name, value)
    async with Cluster(tmp_path, agents=1, slots=2) as cluster:
        await cluster.in_session()
        _, leader = await cluster.leader()
        async with quorate.AsyncClient(leader.address) as client, asyncio.timeout(PATIENCE):
            later = await client.submit(snoozes, str(tmp_path / "seen"))
            never = await client.options(retries=3).submit(cancels)
            with pytest.raises(quorate.errors.TaskCancelled, match="no such customer"):
                await never
            assert (await never.task()).attempt == 1
            assert await later == "done"
            found = await later.task()
            assert (found.attempt, found.failures) == (2, 0)
            assert [one.error.type for one in found.attempts] == ["SNOOZED", ""]
