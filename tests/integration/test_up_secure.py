"""`quorate up --secure`: mutual TLS, etcd too, and tokens; this machine's tools find both."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from quorate import Client
from quorate.cli.app import run
from quorate.client.transport.discovery import LocalCluster, LocalProcess
from quorate.etcd.api import EtcdUnauthenticated, EtcdUnavailable, Range
from quorate.etcd.client import EtcdClient, EtcdTls
from quorate.local import background
from quorate.local.credentials import Credentials
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError
from quorate.security.credentials import tokens
from quorate.security.identity import Role
from tests.support import forked

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("secure") / "cluster"
    plan = LocalPlan(data_dir=folder, nodes=1, slots=2, gateway=True, secure=True)
    try:
        yield background.start(plan)
    finally:
        background.stop(folder)


def quorate(local: LocalCluster, *words: str) -> forked.Ended:
    return forked.run("quorate", *words, "--data-dir", local.data_dir)


def test_sdk_and_commands_find_certificate_and_token(local: LocalCluster, tmp_path: Path) -> None:
    with Client(data_dir=local.data_dir) as client:
        task = client.command(["echo", "hello"])
        assert task.result(30) == 0
    for words, said in (
        (("logs", task.id), "hello\n"),
        (("status",), local.token_file),
        (("tokens", "list"), "admin:local"),
        (("doctor",), "s1: ready"),
        (("etcd", "status"), "leader"),
        (("backup", str(tmp_path / "backup")), "cluster local"),
    ):
        done = quorate(local, *words)
        # The doctor may find this machine's disk slow today: a warning, 1.
        assert done.code in ((0, 1) if words == ("doctor",) else (0,)), (words, done)
        assert said in done.out, words


def test_the_certificate_alone_is_nobody(local: LocalCluster) -> None:
    """Otherwise a program that forgot its token would go unnoticed."""
    with (
        Client(",".join(local.addresses), tls=local.tls) as client,
        pytest.raises(QuorateError) as refused,
    ):
        client.cluster()
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_the_gateway_asks_for_the_token(local: LocalCluster) -> None:
    assert local.tls is not None
    context = ssl.create_default_context(cafile=local.tls.ca_file)
    request = urllib.request.Request(f"{local.dashboard}v1/cluster")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, context=context)
    with refused.value as answer:
        assert answer.status == 401
    token = Path(local.token_file).read_text().strip()
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, context=context) as answer:
        assert json.load(answer)["cluster"]["nodes"] == 1


def test_etcd_takes_nobody_without_a_certificate(local: LocalCluster) -> None:
    etcd = next(one.address for one in local.processes if one.role == "etcd")

    async def ask() -> None:
        async with EtcdClient([etcd]) as client:
            await client.range(Range(b"/quorate/"), timeout=2)

    with pytest.raises(EtcdUnavailable):
        asyncio.run(ask())


def test_the_certificates_of_clients_and_gateway_open_no_etcd_and_a_nodes_little(
    local: LocalCluster,
) -> None:
    etcd = next(one.address for one in local.processes if one.role == "etcd")
    certs = Path(local.data_dir) / "certs"

    async def ask(files: EtcdTls, key: bytes) -> None:
        async with EtcdClient([etcd], tls=files) as client:
            await client.put(key, b"x", timeout=3)

    def files(folder: Path, name: str) -> EtcdTls:
        ca = str(certs / "etcd" / "ca.crt")
        return EtcdTls(ca, str(folder / f"{name}.crt"), str(folder / f"{name}.key"))

    for name in ("client-local", "gateway-gateway", "scheduler-s1", "node-n1"):
        with pytest.raises(EtcdUnavailable):
            asyncio.run(ask(files(certs, name), b"/quorate/local/services/x/y"))
    node = files(certs / "etcd", "node-n1")
    with pytest.raises(EtcdUnauthenticated):
        asyncio.run(ask(node, b"/quorate/local/queues/mine"))
    asyncio.run(ask(node, b"/quorate/local/services/x/y"))


def test_a_token_made_on_the_way_is_good_at_once_and_bound(local: LocalCluster) -> None:
    words = ("tokens", "create", "--name", "mailer", "--role", "submitter", "--queue", "mail*")
    token = quorate(local, *words).out.strip()
    with (
        Client(data_dir=local.data_dir, token=token) as client,
        pytest.raises(QuorateError) as refused,
    ):
        client.command(["true"])
    assert refused.value.reason == "FOREIGN_QUEUE"


def test_nobody_else_reads_the_token_and_it_is_said_nowhere(local: LocalCluster) -> None:
    folder = Path(local.data_dir)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(local.token_file).stat().st_mode) == 0o600
    token = Path(local.token_file).read_text().strip()
    told = [folder / "cluster.json", folder / "tokens", *(folder / "logs").iterdir()]
    assert all(token not in path.read_text(errors="replace") for path in told)
    assert token not in quorate(local, "status", "--json").out


def test_the_token_is_kept_and_made_anew_when_it_was_revoked_or_lost(tmp_path: Path) -> None:
    made = Credentials(tmp_path)

    def token() -> str:
        made.prepare(NOW)
        return made.admin_token_file.read_text().strip()

    tokens.create(made.tokens_file, "mailer", Role.SUBMITTER, now=NOW, lasts=None)
    first = token()
    assert token() == first
    tokens.revoke(made.tokens_file, "local")
    second = token()
    made.admin_token_file.unlink()
    third = token()
    assert len({first, second, third}) == 3
    # Of the lost one nothing is left; those of others stay.
    entries = tokens.read(made.tokens_file).values()
    assert sorted(str(one.caller) for one in entries) == ["admin:local", "submitter:mailer"]


def test_a_token_of_a_lesser_role_is_not_taken_for_the_admins(tmp_path: Path) -> None:
    made = Credentials(tmp_path)
    less = tokens.create(made.tokens_file, "mailer", Role.VIEWER, now=NOW, lasts=None)
    made.admin_token_file.write_text(less)
    made.prepare(NOW)
    found = tokens.TokenFile(made.tokens_file).find(made.admin_token_file.read_text().strip())
    assert found is not None
    assert found.role is Role.ADMIN


def test_a_tokens_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("{")
    (tmp_path / "admin-token").write_text("x")
    with pytest.raises(QuorateError, match="line 1") as caught:
        Credentials(tmp_path).prepare(NOW)
    assert caught.value.reason == "TOKENS_FILE_UNUSABLE"


def test_one_flag_makes_all_of_it_and_none_of_it_is_the_default(tmp_path: Path) -> None:
    etcd = "127.0.0.1:1"
    plain = LocalPlan(data_dir=tmp_path)
    assert plain.scheduler_argv("s1", 1, etcd)[-2:] == ["--auth", "none"]
    assert not any("tls" in word for word in plain.node_argv("n1", 1, etcd))
    assert (plain.client, plain.etcd_flags, plain.credentials) == (None, (), None)
    secure = LocalPlan(data_dir=tmp_path, secure=True)
    argv = secure.scheduler_argv("s1", 1, etcd)
    assert argv[argv.index("--auth") + 1] == "mtls,tokens"
    assert argv[argv.index("--etcd-cert-file") + 1].endswith("etcd/scheduler-s1.crt")
    assert argv[argv.index("--etcd-ca-file") + 1] != argv[argv.index("--tls-ca-file") + 1]
    assert secure.node_argv("n1", 1, etcd)[-2].startswith("--etcd")
    assert secure.gateway_argv(1, ["a:1"])[-2:] == ["--auth", "bearer"]
    assert "--secure" in background.plan_argv(secure)


def test_cluster_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = LocalPlan(data_dir=tmp_path, secure=True)
    process = LocalProcess("s1", "scheduler", "127.0.0.1:1", 1, "running")
    given = LocalCluster(
        "local", str(tmp_path), 1, 0.0, True, (process,), plan.client, "t", plan.etcd_client
    )
    assert LocalCluster.from_json(given.to_json()) == given


def test_tokens_without_a_file_or_a_local_cluster_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUORATE_AUTH_TOKENS_FILE", raising=False)
    assert run(["tokens", "list", "--data-dir", str(tmp_path)]) == 2
    assert "--file" in capsys.readouterr().err
