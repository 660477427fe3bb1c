"""A plugin of pytest for aio-pika's tests: the broker is there already, no container is started.

Environment: `AMQP_PORT`, and `AMQPS_PORT` with TLS.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# aio-pika's, whose folder comes first in the path.
_docker: Any = importlib.import_module("tests.docker_client")
_PORTS = {"5672/tcp": int(os.environ["AMQP_PORT"]), "5671/tcp": int(os.environ["AMQPS_PORT"])}


class _Broker:
    """In place of `DockerClient`."""

    def __init__(self, host: object = None) -> None:
        pass

    def run(self, image: str, ports: list[str], environment: object = None) -> Any:
        return _docker.ContainerInfo(id="quorate", host="127.0.0.1", ports=_PORTS)

    def kill(self, container: str) -> None:
        pass

    def remove(self, container: str) -> None:
        pass


_docker.check_docker_available = lambda: None
_docker.DockerClient = _Broker
