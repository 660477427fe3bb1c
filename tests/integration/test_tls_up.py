"""`quorate up --tls`: every link has TLS, every command just works, and strangers get nowhere."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from quorate.client.client import Client
from quorate.client.transport.discovery import LocalCluster, read_local_cluster
from quorate.local import background
from quorate.local.certificates import ADMIN, Certificates
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError
from quorate.security.tls.certs import CA_KEY, Authority, file_names
from quorate.security.tls.diagnosis import why_not
from tests.support import forked
from tests.support.tls import TestAuthority


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("up") / "cluster"
    started = background.start(LocalPlan(data_dir=folder, nodes=1, slots=2, gateway=True, tls=True))
    yield started
    background.stop(folder)


def quorate(local: LocalCluster, *arguments: str) -> forked.Ended:
    return forked.run("quorate", *arguments, "--data-dir", local.data_dir)


def test_every_command_finds_its_certificates(local: LocalCluster):
    done = quorate(local, "status", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["local"]["tls"]["ca_file"].endswith("ca.crt")
    with Client(data_dir=local.data_dir) as client:
        assert client.command(["/bin/true"]).result(30) == 0
        assert client.submit_json("math:hypot", [3, 4]).result(30) == 5.0


def test_no_process_takes_a_plaintext_call(local: LocalCluster):
    served = [p for p in local.processes if p.role in ("scheduler", "node")]
    assert len(served) == 3
    for process in served:
        assert "speaks TLS" in why_not(process.address, None)
    with (
        Client(",".join(local.addresses), retry_for=0.2) as client,
        pytest.raises(QuorateError, match="speaks TLS: say --tls-ca-file"),
    ):
        client.cluster()


def test_no_process_takes_a_certificate_of_another_authority(local: LocalCluster, tmp_path: Path):
    assert local.tls is not None
    stranger = TestAuthority(tmp_path / "ca").leaf("admin:mallory")
    for process in local.processes:
        if process.role not in ("scheduler", "node"):
            continue
        for files in ((), (str(stranger.cert_file), str(stranger.key_file))):
            tls = type(local.tls)(local.tls.ca_file, *files)
            assert "hung up" in why_not(process.address, tls), process.name


def test_rest_and_live_updates_are_served_over_https(local: LocalCluster):
    assert local.tls is not None
    context = ssl.create_default_context(cafile=local.tls.ca_file)
    context.load_cert_chain(local.tls.cert_file, local.tls.key_file)
    with urllib.request.urlopen(f"{local.dashboard}v1/cluster", context=context) as answer:
        assert json.load(answer)["cluster"]["nodes"] == 1
    with pytest.raises(urllib.error.URLError, match="self-signed"):
        urllib.request.urlopen(f"{local.dashboard}v1/cluster", context=ssl.create_default_context())

    async def live() -> dict[str, object]:
        address = local.dashboard.replace("https://", "wss://") + "v1/live"
        async with websockets.connect(address, ssl=context) as socket:
            hello: dict[str, object] = json.loads(await socket.recv())
            return hello

    assert asyncio.run(live())["kind"] == "hello"


def test_a_failover_takes_no_longer_with_tls(local: LocalCluster):
    """A standby sees the leader's process die over TLS, long before its lease ends."""
    with Client(data_dir=local.data_dir) as client:
        deadline = time.monotonic() + 30
        while len(client.cluster().schedulers) < 2:
            assert time.monotonic() < deadline
        before = client.cluster()
        leader = next(replica for replica in before.schedulers if replica.leader)
        running = read_local_cluster(Path(local.data_dir))
        assert running is not None
        (pid,) = (p.pid for p in running.processes if p.name == leader.name)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        assert client.command(["/bin/true"]).result(30) == 0
        # The lease lives for 2 s at least.
        assert time.monotonic() - began < 1.9
        assert client.cluster().epoch > before.epoch


def test_certificates_are_kept_and_renewed_when_they_are_about_to_expire(tmp_path: Path):
    now = dt.datetime.now(dt.UTC)
    certificates = Certificates(tmp_path / "certs")
    certificates.prepare([ADMIN, "node:n1"], now)
    kept = {path.name: path.read_bytes() for path in certificates.folder.iterdir()}
    cert, key = file_names("node:n1")
    assert {cert, key, *file_names(ADMIN), "ca.crt", CA_KEY} == kept.keys()
    certificates.prepare(["node:n1", "node:n2"], now)
    assert {name: (certificates.folder / name).read_bytes() for name in kept} == kept
    certificates.prepare(["node:n1"], now + dt.timedelta(days=800))
    assert (certificates.folder / cert).read_bytes() != kept[cert]
    assert (certificates.folder / "ca.crt").read_bytes() == kept["ca.crt"]


def test_certificates_of_another_authority_are_made_anew(tmp_path: Path):
    now = dt.datetime.now(dt.UTC)
    certificates = Certificates(tmp_path / "certs")
    certificates.prepare(["node:n1"], now)
    former = certificates.of("node:n1")
    before = Path(former.cert_file).read_bytes()
    Authority.create("quorate local CA", now=now, days=10).write(certificates.folder)
    certificates.prepare(["node:n1"], now)
    assert Path(former.cert_file).read_bytes() != before


def test_a_folder_without_the_authoritys_key_is_refused(tmp_path: Path):
    now = dt.datetime.now(dt.UTC)
    certificates = Certificates(tmp_path / "certs")
    certificates.prepare([], now)
    (certificates.folder / CA_KEY).unlink()
    with pytest.raises(QuorateError, match="no CA in") as caught:
        certificates.prepare([], now)
    assert caught.value.reason == "CERTIFICATES_UNUSABLE"
