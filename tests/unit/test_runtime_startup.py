"""Wrong settings: the same sentence and the same exit code whichever process has them."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from typing import TextIO, cast

import pytest
import structlog

from gateway.config import GatewaySettings
from node_agent.config import AgentSettings
from quorate.runtime.process.exit_codes import CANNOT_START, USAGE
from quorate.runtime.process.log_output import LossyOutput
from quorate.runtime.process.startup import configure_logging, fail, read_settings
from scheduler.config import SchedulerSettings

every_process = pytest.mark.parametrize(
    ("program", "settings"),
    [
        ("scheduler", SchedulerSettings),
        ("node_agent", AgentSettings),
        ("gateway", GatewaySettings),
    ],
)


@every_process
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--listen", "x"], ["--listen: 'x' is not host:port"]),
        (["--listen", "0.0.0.0:1"], ["--listen: 0.0.0.0 is not loopback"]),
        (["--tls-key-file", "k"], ["--tls-cert-file: is missing"]),
        (["--listen", "x", "--health-listen", "y"], ["--listen: 'x'", "; --", "-listen: 'y'"]),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(program, settings, flags, said, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(program, settings, flags)
    assert ended.value.code == USAGE == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"{program}: --")
    for part in said:
        assert part in err
    assert (out, err.count("\n")) == ("", 1)


@every_process
def test_an_unknown_flag_ends_with_the_same_code(program, settings, capsys):
    with pytest.raises(SystemExit) as ended:
        read_settings(program, settings, ["--no-such-flag", "1"])
    assert ended.value.code == USAGE
    assert "no-such-flag" in capsys.readouterr().err


@every_process
def test_the_environment_is_read_and_flags_win(program, settings, monkeypatch):
    prefix = settings.model_config["env_prefix"]
    monkeypatch.setenv(f"{prefix}LISTEN", "127.0.0.1:1")
    assert read_settings(program, settings, []).listen == "127.0.0.1:1"
    assert read_settings(program, settings, ["--listen", "127.0.0.1:2"]).listen == "127.0.0.1:2"


def test_a_log_on_a_full_disk_loses_lines_and_nothing_else():
    """A line used to raise in the middle of what it was about: no session was opened, say."""
    script = (
        "import structlog; from quorate.runtime.process.startup import configure_logging\n"
        "configure_logging()\n"
        "for number in range(500): structlog.get_logger('a').error('x' * 100, number=number)\n"
        "print('alive')"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert done.stdout == b"alive\n"


def test_a_log_goes_on_when_there_is_room_again():
    class Stream(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    stream = Stream()
    output = LossyOutput(stream)
    print("lost", file=cast(TextIO, output), flush=True)
    stream.full = False
    print("kept", file=cast(TextIO, output), flush=True)
    assert (stream.getvalue(), output.failures) == ("kept\n", 2)


def test_what_fails_here_and_now_has_another_code(capsys):
    assert fail("scheduler", "etcd does not answer") == CANNOT_START == 1
    assert capsys.readouterr().err == "scheduler: etcd does not answer\n"


def test_every_line_of_a_log_names_its_process_and_its_cluster(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = structlog.get_config()
    try:
        configure_logging(process="scheduler:s1", cluster="c")
        structlog.get_logger("names").info("disk_writable", was="full")
    finally:
        structlog.configure(**before)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["process"], line["cluster"]) == (
        "disk_writable",
        "scheduler:s1",
        "c",
    )
