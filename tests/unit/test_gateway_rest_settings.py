"""The gateway's settings: what is refused, in one sentence that names the flag."""

import pytest

from gateway.config import GatewaySettings
from gateway.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "0.0.0.0:1"], "not loopback"),
        (["--listen", "nonsense"], "is not host:port"),
        (["--listen", "127.0.0.1:99999"], "is not host:port"),
        (["--listen", ":7470"], "is not host:port"),
        (["--schedulers", "a:1,b"], "schedulers: 'b' is not host:port"),
        (["--schedulers", ""], "is not host:port"),
        (["--schedulers", "a:0"], "is not host:port"),
        (["--root-path", "quorate"], "root-path"),
        (["--root-path", "/a/../b"], "root-path"),
        (["--root-path", "/a b"], "root-path"),
        (["--cors-origins", "example.com"], "cors-origins"),
        (["--cors-origins", "https://example.com/path"], "cors-origins"),
        (["--max-body-kib", "0"], "--max-body-kib"),
        (["--default-timeout", "0"], "--default-timeout"),
        (["--head-timeout", "0"], "--head-timeout"),
        (["--head-timeout", "3601"], "--head-timeout"),
        (["--log-level", "loud"], "--log-level"),
    ],
)
def test_bad_settings_are_one_sentence(capfd, arguments, words):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert error.startswith("gateway: --")
    assert words in error
    assert error.count("\n") == 1


def test_settings_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("QUORATE_GATEWAY_SCHEDULERS", "a:1, [::1]:2")
    monkeypatch.setenv("QUORATE_GATEWAY_ROOT_PATH", "/")
    # Another process's address is none of ours.
    monkeypatch.setenv("QUORATE_LISTEN", "127.0.0.1:1")
    settings = GatewaySettings()
    assert settings.addresses == ["a:1", "[::1]:2"]
    assert settings.root_path == ""
    assert settings.listen == "127.0.0.1:7470"


def test_other_addresses_are_served_when_asked_for():
    assert GatewaySettings(listen="0.0.0.0:7470", insecure=True).listen == "0.0.0.0:7470"
