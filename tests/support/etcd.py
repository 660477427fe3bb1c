"""What tests against real etcd share: a certificate authority, and etcdctl as a subprocess."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from quorate.etcd.api import Etcd, KeyValue, Range, WatchBatch, WatchEvent, prefix_end
from quorate.etcd.server.binary import find_etcd
from quorate.etcd.server.launcher import EtcdProcess


@dataclass(frozen=True)
class Certificates:
    """PEM files of one authority: a server certificate for 127.0.0.1 and a client certificate."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """With the openssl program, so that the tests need no further package."""
    made = Certificates(
        *(folder / name for name in ("ca.pem", "srv.pem", "srv.key", "cli.pem", "cli.key"))
    )
    authority_key = folder / "ca.key"
    _openssl(
        "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 1 -subj /CN=test-ca",
        "-keyout", authority_key, "-out", made.ca,
    )  # fmt: skip
    for certificate, key, usage in (
        (made.server, made.server_key, "serverAuth,clientAuth"),
        (made.client, made.client_key, "clientAuth"),
    ):
        request, extensions = folder / "request.pem", folder / "extensions"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        _openssl(
            "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=test",
            "-keyout", key, "-out", request,
        )  # fmt: skip
        _openssl(
            "x509 -req -days 1 -CAcreateserial",
            "-in", request, "-CA", made.ca, "-CAkey", authority_key, "-extfile", extensions,
            "-out", certificate,
        )  # fmt: skip
    return made


def _openssl(words: str, *more: str | Path) -> None:
    subprocess.run(
        ["openssl", *words.split(), *map(str, more)], check=True, capture_output=True, timeout=30
    )


def etcdctl_command(server: EtcdProcess, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command and environment of etcdctl, speaking to `server`."""
    etcdctl = find_etcd().etcdctl
    assert etcdctl is not None, "etcdctl is missing beside etcd: install etcd-client"
    environment = {**os.environ, "ETCDCTL_API": "3"}
    return [str(etcdctl), f"--endpoints={server.endpoint}", *arguments], environment


async def etcdctl(server: EtcdProcess, *arguments: str) -> str:
    """Run etcdctl to its end; its standard output."""
    command, environment = etcdctl_command(server, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def read_prefix(etcd: Etcd, prefix: bytes) -> dict[bytes, KeyValue]:
    """Everything below `prefix`."""
    result = await etcd.range(Range(prefix, prefix_end(prefix)))
    return {kv.key: kv for kv in result.kvs}


def keys_of(batch: WatchBatch) -> list[tuple[bool, bytes]]:
    """(deleted, key) of each event."""
    return [_key_of(event) for event in batch.events]


def _key_of(event: WatchEvent) -> tuple[bool, bytes]:
    return event.deleted, event.kv.key


class Proxy:
    """A TCP proxy in front of one etcd, which can be cut, or hold back answers until it is.

    Listens on a port of its own of 127.0.0.1 until `close`; use it as an async context manager.
    """

    def __init__(self, target: EtcdProcess) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.hold_answers = False
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Refuse new connections and cut the open ones."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.cut()
        if self._pipes:
            await asyncio.wait(self._pipes)

    def cut(self) -> None:
        """Break the open connections; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.endpoint.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers |= {writer, far_writer}
        for source, sink, answers in ((reader, far_writer, False), (far_reader, writer, True)):
            pipe = asyncio.create_task(self._pump(source, sink, answers))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                if answers and self.hold_answers:
                    continue
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # cut
        finally:
            sink.transport.abort()
