"""RabbitMQ of the system's packages, for comparison on the same machine in the same run.

Started on 127.0.0.1 with its own node name, ports, cookie and data, so that one that serves this
machine already is not touched. Its port mapper (epmd) is a child of ours too: both end with the
`with` block. It keeps messages as it does by default, in a quorum queue: written and synced before
they are confirmed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pika
from pika.exceptions import AMQPError

from quorate.runtime.network.free_port import free_port

INSTALL = "RabbitMQ is not installed: apt-get install rabbitmq-server"
# Without the wrapper, which insists on the package's own user and folders.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_EPMD = "epmd"
_START = 60.0
_STOP = 20.0
_LOOK = 0.1


def is_installed() -> bool:
    """Whether there is a RabbitMQ to compare with."""
    return _SERVER.exists() and shutil.which(_EPMD) is not None


class RabbitMq:
    """One node; it serves AMQP at `port` of 127.0.0.1 (guest, guest) within the `with` block."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="quorate-rabbitmq-")
        self.port = free_port()
        self._epmd_port, self._distribution_port = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> RabbitMq:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            # The whole group: the script, and the node that it became or started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._temporary.cleanup()

    def _start(self) -> None:
        folder = Path(self._temporary.name)
        config = folder / "rabbitmq.conf"
        # Its own guard of memory and disk would block publishers on a small machine.
        config.write_text("loopback_users = none\ndisk_free_limit.absolute = 64MB\n")
        environment = {
            **{key: value for key, value in os.environ.items() if key in ("PATH", "LANG")},
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "quorate-bench@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
        }
        epmd = [_EPMD, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
        with (folder / "output").open("wb") as output:
            for argv in (epmd, [str(_SERVER)]):
                self._processes.append(
                    subprocess.Popen(
                        argv,
                        env=environment,
                        cwd=folder,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        self._await(folder / "output")

    def _await(self, output: Path) -> None:
        end = time.monotonic() + _START
        while True:
            try:
                pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port)).close()
            except (AMQPError, OSError) as error:
                ended = self._processes[-1].poll() is not None
                if ended or time.monotonic() > end:
                    text = output.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"RabbitMQ did not start:\n{text}") from error
                time.sleep(_LOOK)
            else:
                return
