"""Which certificates and which token a client uses when it is told, and when it is not."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from quorate.client.transport.bearer import Bearer
from quorate.client.transport.discovery import LocalCluster, LocalProcess, find_access
from quorate.runtime.errors import QuorateError
from quorate.security.tls.dialer import ClientTls

FILES = ClientTls("ca", "cert", "key")
ENVIRON = {
    "QUORATE_ADDRESS": "a.example:1",
    "QUORATE_TLS_CA_FILE": "ca",
    "QUORATE_TLS_CERT_FILE": "cert",
    "QUORATE_TLS_KEY_FILE": "key",
}


@pytest.fixture
def local(tmp_path: Path):
    """A data dir in which a cluster with TLS of its own seems to run."""
    process = LocalProcess("s1", "scheduler", "127.0.0.1:5", 1, "running")
    gateway = LocalProcess("gateway", "gateway", "127.0.0.1:6", 1, "running")
    own = ClientTls("own-ca", "own-cert", "own-key")
    cluster = LocalCluster("local", str(tmp_path), 1, 0.0, True, (process, gateway), own)
    (tmp_path / "cluster.json").write_text(cluster.to_json())
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, b"1\n")
    yield cluster
    os.close(lock)


def test_cluster_json_keeps_what_clients_need(local: LocalCluster):
    assert LocalCluster.from_json(local.to_json()) == local
    assert local.dashboard == "https://127.0.0.1:6/"


def test_without_a_word_there_is_no_tls():
    access = find_access("a.example:1", environ={})
    assert (access.tls, access.bearer) == (None, None)


def test_the_environment_says_it_and_arguments_win():
    assert find_access(environ=ENVIRON).tls == FILES
    assert find_access("b.example:1", environ=ENVIRON).tls == FILES
    other = ClientTls("other")
    assert find_access(tls=other, environ=ENVIRON).tls == other
    assert find_access("b.example:1", environ={"QUORATE_TLS_CA_FILE": "ca"}).tls == ClientTls("ca")


def test_a_local_cluster_knows_its_own(local: LocalCluster):
    environ = {**ENVIRON, "QUORATE_DATA_DIR": local.data_dir}
    assert find_access(data_dir=Path(local.data_dir), environ=environ).tls == local.tls
    del environ["QUORATE_ADDRESS"]
    # A token of the environment is for another cluster, too.
    environ["QUORATE_TOKEN"] = "secret"
    access = find_access(environ=environ)
    assert (access.tls, access.bearer) == (local.tls, None)
    assert find_access(token="said", environ=environ).bearer is not None


def test_a_token_comes_from_argument_or_environment(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    for said, named, environ, token in (
        ("said", None, {"QUORATE_TOKEN": "env"}, "said"),
        (None, str(file), {"QUORATE_TOKEN": "env"}, "from-file"),
        (None, None, {"QUORATE_TOKEN": "env"}, "env"),
        (None, None, {"QUORATE_TOKEN_FILE": str(file)}, "from-file"),
    ):
        access = find_access("localhost:1", token=said, token_file=named, environ=environ)
        assert access.bearer is not None
        assert access.bearer.metadata() == (("authorization", f"Bearer {token}"),)


def test_a_token_is_not_sent_over_plaintext_to_others():
    with pytest.raises(QuorateError, match=r"not sent to a\.example:1 without TLS"):
        find_access("127.0.0.1:1,a.example:1", token="secret", environ={})
    assert find_access("a.example:1", token="secret", tls=FILES, environ={}).bearer is not None


@pytest.mark.parametrize("token", ["se cret", "se\ncret", "sécret", "secret" * 4_000, "=secret"])
def test_what_is_no_token_is_refused_without_being_repeated(token: str):
    with pytest.raises(QuorateError) as caught:
        Bearer(token)
    assert "cret" not in str(caught.value)


def test_a_token_and_a_file_are_one_too_many(tmp_path: Path):
    with pytest.raises(QuorateError, match="not both"):
        Bearer("a", str(tmp_path))


def test_a_token_file_is_read_again_when_it_was_replaced(tmp_path: Path):
    file, fresh = tmp_path / "token", tmp_path / "fresh"
    file.write_text("one")
    bearer = Bearer(file=str(file))
    assert bearer.metadata() == (("authorization", "Bearer one"),)
    fresh.write_text("two")
    fresh.rename(file)
    assert bearer.metadata() == (("authorization", "Bearer two"),)
    file.unlink()
    assert bearer.metadata() == (("authorization", "Bearer two"),)
    assert "two" not in repr(bearer)
    with pytest.raises(QuorateError, match="cannot read"):
        Bearer(file=str(file))
