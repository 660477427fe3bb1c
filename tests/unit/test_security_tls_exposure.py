"""The rule about addresses that others can reach."""

from __future__ import annotations

import itertools

import pytest

from quorate.security.exposure import is_loopback, refuse_exposed


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_loopback_is_open_to_this_machine_only(host: str):
    assert is_loopback(host)
    refuse_exposed(host, tls=False, auth=False, insecure=False)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "[::]", "10.0.0.1", "node-1", "127.evil.example", "localhost.example", ""]
)
def test_anything_else_needs_tls_and_authentication(host: str):
    assert not is_loopback(host)
    for tls, auth, insecure in itertools.product((False, True), repeat=3):
        if insecure or (tls and auth):
            refuse_exposed(host, tls=tls, auth=auth, insecure=insecure)
        else:
            with pytest.raises(ValueError, match="or --insecure") as caught:
                refuse_exposed(host, tls=tls, auth=auth, insecure=insecure)
            said = str(caught.value)
            assert said.startswith("listen: ")
            assert ("TLS" in said) is not tls
            assert ("authentication" in said) is not auth
