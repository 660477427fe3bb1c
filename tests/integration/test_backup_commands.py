"""`quorate backup`, `restore` and `etcd ...` against a real etcd: what they print and refuse."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quorate.cli.app import run
from quorate.etcd.client import EtcdClient
from quorate.etcd.generation import read_standing
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import HeadRecord
from tests.support import forked
from tests.support.runbook import Runbook

_names = (f"backup{number}" for number in itertools.count())
Starter = Callable[..., Awaitable[EtcdProcess]]


def quorate(*arguments: str, **environment: str) -> forked.Ended:
    return forked.run("quorate", *arguments, NO_COLOR="1", **environment)


class Kept:
    """A cluster without processes: its records in etcd."""

    def __init__(self, server: EtcdProcess, client: EtcdClient, folder: Path) -> None:
        self.name = next(_names)
        self.prefix = f"/quorate/{self.name}/".encode()
        self.client = client
        self.file = folder / "cluster.backup"
        self.environment = {"QUORATE_ETCD": server.endpoint, "QUORATE_CLUSTER": self.name}

    async def fill(self, records: int) -> None:
        head = HeadRecord(epoch=3, sequence=1).SerializeToString()
        await self.client.put(self.prefix + b"head", head)
        for number in range(records):
            await self.client.put(self.prefix + b"tasks/default/%05d" % number, b"x" * 500)

    async def empty(self) -> None:
        await self.client.delete(self.prefix, self.prefix[:-1] + b"0")

    def run(self, *arguments: str) -> forked.Ended:
        return quorate(*arguments, **self.environment)

    def refused(self, *arguments: str, code: int = 5) -> str:
        done = self.run(*arguments)
        assert done.code == code, done
        assert not done.out
        assert "Traceback" not in done.err
        return done.err


@pytest.fixture
def kept(etcd_server: EtcdProcess, etcd_client: EtcdClient, tmp_path: Path) -> Kept:
    return Kept(etcd_server, etcd_client, tmp_path)


async def test_there_and_back(kept: Kept) -> None:
    await kept.fill(300)
    made = kept.run("backup", str(kept.file), "--json")
    told = json.loads(made.out)
    assert (told["records"], told["cluster"], told["generation"]) == (300, kept.name, 1)
    assert told["size"] == kept.file.stat().st_size
    assert "is not empty" not in kept.refused("backup", str(kept.file))
    assert "300" not in kept.refused("restore", str(kept.file), "--cluster", "other")
    assert "302 keys" in kept.refused("restore", str(kept.file))
    await kept.empty()
    back = kept.run("restore", str(kept.file), "--json")
    assert json.loads(back.out)["generation"] == 2, back.err
    standing = await read_standing(kept.client, kept.prefix)
    assert (standing.generation, standing.restoring) == (2, None)


async def test_what_is_no_backup_or_cannot_be_written_is_named(kept: Kept, tmp_path: Path) -> None:
    await kept.fill(1)
    kept.file.write_bytes(b"something else")
    assert "no backup of quorate's" in kept.refused("restore", str(kept.file))
    assert "already exists" in kept.refused("backup", str(kept.file))
    missing = str(tmp_path / "no" / "file")
    assert "No such file" in kept.refused("restore", missing, code=2)
    assert "No such file" in kept.refused("backup", missing, code=2)
    assert "no cluster" in kept.refused("backup", missing + "2", "--cluster", "nobody")


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("restore", "f", "--etcd-max-txn-ops", "7"), "etcd-max-txn-ops"),
        (("restore", "f", "--etcd-max-txn-ops", "100001"), "etcd-max-txn-ops"),
        (("restore", "f", "--generation", "-1"), "--generation"),
        (("restore", "f", "--generation", "32769"), "--generation"),
        (("backup", "f", "--etcd", "nowhere"), "etcd"),
        (("backup", "f", "--cluster", "No Name"), "cluster"),
        (("backup", "f", "--etcd-password-file", "/nowhere/p"), "etcd-password-file"),
        (("etcd", "status", "--etcd-ca-file", "/nowhere/ca"), "etcd-ca-file"),
        (("etcd", "status", "--quota-mib", "15"), "--quota-mib"),
        (("etcd", "compact", "--revision", "-1"), "--revision"),
    ],
)
def test_a_flag_out_of_its_bounds_is_named(
    arguments: tuple[str, ...],
    flag: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("QUORATE_ETCD", "127.0.0.1:1")
    assert run(list(arguments)) == 2
    assert flag in capsys.readouterr().err


def test_no_etcd_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = quorate("etcd", "status", "--etcd", "127.0.0.1:1")
    assert done.code == 4, done
    assert "no etcd answers" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["compact", "defrag", "new-generation"])
async def test_nothing_is_done_without_yes(kept: Kept, command: str) -> None:
    await kept.fill(1)
    assert "--yes" in kept.refused("etcd", command, code=1)
    assert (await read_standing(kept.client, kept.prefix)).generation == 1


async def test_a_generation_begins_when_nobody_stands_to_lead(kept: Kept, tmp_path: Path) -> None:
    missing = kept.refused("etcd", "new-generation", "--yes", code=3)
    assert f"cluster '{kept.name}' does not exist" in missing
    await kept.fill(1)
    candidate = kept.prefix + b"election/scheduler/1"
    await kept.client.put(candidate, b"")
    assert "stop them" in kept.refused("etcd", "new-generation", "--yes")
    await kept.client.delete(candidate)
    runbook = Runbook("backup-restore.md", __file__, tmp_path, **kept.environment)
    assert "generation 2" in await runbook.step()
    runbook.done()
    assert (await read_standing(kept.client, kept.prefix)).generation == 2


async def test_a_single_etcd_is_shown_compacted_and_defragmented(own_etcd: Starter) -> None:
    server = await own_etcd()
    environment = {"QUORATE_ETCD": server.endpoint}
    shown = quorate("etcd", "status", "--json", **environment)
    told = json.loads(shown.out)
    (member,) = told["members"]
    assert told["healthy"]
    assert member["leader"]
    assert member["endpoint"] == server.endpoint
    for command in ("compact", "defrag"):
        done = quorate("etcd", command, "--yes", **environment)
        assert done.code == 0, done
    nothing = quorate("etcd", "recover", **environment)
    assert nothing.code == 0, nothing
    assert "no NOSPACE alarm" in nothing.err
