"""TLS to etcd: certificates that are replaced while a client runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.etcd.api import Range
from quorate.etcd.channels import EtcdTls
from quorate.etcd.client import EtcdClient
from quorate.runtime.network.free_port import free_port
from quorate.security.tls.pem import TlsError
from tests.support.tls import TestAuthority


async def test_a_client_goes_on_when_the_authority_was_replaced(own_etcd, tmp_path: Path):
    """Etcd comes back with certificates of another CA; the client's files are replaced too."""
    ca, successor = TestAuthority(tmp_path / "ca"), TestAuthority(tmp_path / "successor")
    server, client = ca.leaf("etcd:e1"), ca.leaf("scheduler:s1")
    tls = EtcdTls(str(ca.ca_file), str(client.cert_file), str(client.key_file))
    etcd = await own_etcd(
        tls=tls,
        extra=(
            f"--cert-file={server.cert_file}",
            f"--key-file={server.key_file}",
            f"--trusted-ca-file={ca.ca_file}",
            "--client-cert-auth",
        ),
    )
    async with EtcdClient([etcd.endpoint], tls=tls) as store:
        await store.put(b"k", b"v")
        for subject, leaf in (("etcd:e1", server), ("scheduler:s1", client)):
            fresh = successor.leaf(subject)
            fresh.cert_file.rename(leaf.cert_file)
            fresh.key_file.rename(leaf.key_file)
        successor.ca_file.rename(ca.ca_file)
        assert (await store.range(Range(b"k"))).kvs[0].value == b"v"
        await etcd.restart()
        assert (await store.range(Range(b"k"), timeout=60)).kvs[0].value == b"v"
        await store.put(b"k", b"w", timeout=60)


def test_files_that_do_not_fit_are_refused(tmp_path: Path):
    ca = TestAuthority(tmp_path / "ca")
    one, other = ca.leaf("scheduler:s1"), ca.leaf("scheduler:s2")
    where = [f"127.0.0.1:{free_port()}"]
    with pytest.raises(TlsError, match="etcd-key-file: the key in"):
        EtcdClient(where, tls=EtcdTls(str(ca.ca_file), str(one.cert_file), str(other.key_file)))
    with pytest.raises(FileNotFoundError, match="gone"):
        EtcdClient(where, tls=EtcdTls(str(tmp_path / "gone")))
