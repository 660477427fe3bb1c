"""The client's side of TLS: channels with the certificates of the day.

Files are read when a channel is opened. An owner of a long-lived channel asks `Dialer.is_stale`
when a call over it failed, and opens another: a connection that stands is left alone, since
certificates are about who may connect. A set of files that cannot be used at the moment (half of it
replaced) is logged once, and the former one stays.

The server is verified by name: the host of the dialled address must be among the subject
alternative names of its certificate. Light to import: the SDK needs it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from quorate.security.tls.pem import Pem, PemFiles, Stamp, TlsError

log = logging.getLogger(__name__)

Options = Sequence[tuple[str, Any]]
# For channels within a cluster: no proxy that the environment names, and a connection that no other
# channel of the process shares, nor its pauses between attempts.
DIRECT: Final[Options] = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
# For a channel that asks one question and is closed. The connection is made for it: one that stood
# before would say nothing about whether the other side can be reached now.
ONE_QUESTION: Final[Options] = (*DIRECT, ("grpc.enable_retries", 0))

Report = Callable[[str, str], None]
"""Takes an event (snake_case) and its reason (a sentence)."""


def _log(event: str, why: str) -> None:
    log.warning("%s: %s", event, why)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a client speaks TLS: paths of PEM files.

    * `ca_file`: the CAs that servers' certificates may come from; gRPC's public ones when empty.
    * `cert_file`, `key_file`: what the client shows of itself (mutual TLS); both or neither.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    flags: str = "tls"
    """How the settings are called in messages: `--tls-ca-file` and so on."""

    @property
    def files(self) -> PemFiles:
        """The set of files."""
        return PemFiles(self.cert_file, self.key_file, self.ca_file, self.flags)


class Watched:
    """A set of files as last read; thread-safe, since gRPC asks from threads of its own."""

    def __init__(self, files: PemFiles, report: Report) -> None:
        self._files = files
        self._report = report
        self._lock = threading.Lock()
        # Before reading: a file that changes meanwhile is read again next time.
        self._stamp = files.stamp()
        self._refused: Stamp = ()
        self.pem = files.read()

    def changed(self) -> Pem | None:
        """The new contents when the files were replaced by a set that can be used, else None."""
        with self._lock:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return None
            try:
                self.pem = self._files.read()
            except TlsError as failure:
                if stamp != self._refused:
                    self._refused = stamp
                    self._report("tls_files_unusable", failure.message)
                return None
            self._stamp = stamp
            return self.pem

    @property
    def stamp(self) -> Stamp:
        """Of the set that is in use."""
        return self._stamp


class Dialer:
    """Opens channels with the files as they are at that moment. Thread-safe; owns no channel.

    Raises TlsFault when made with files that cannot be used; later the former ones stay in use.
    """

    def __init__(self, tls: ClientTls | None, report: Report = _log) -> None:
        self.tls = tls
        self._watched = None if tls is None else Watched(tls.files, report)
        self._opened: weakref.WeakKeyDictionary[object, Stamp] = weakref.WeakKeyDictionary()

    def open(self, address: str, options: Options = ()) -> grpc.aio.Channel:
        """A channel of the running event loop to `host:port`, verified by that host."""
        if self._watched is None:
            return grpc.aio.insecure_channel(address, options=options)
        credentials = self._credentials(self._watched)
        channel = grpc.aio.secure_channel(address, credentials, options=options)
        self._opened[channel] = self._watched.stamp
        return channel

    def open_sync(self, address: str, options: Options = ()) -> grpc.Channel:
        """As `open`, for threads."""
        if self._watched is None:
            return grpc.insecure_channel(address, options=options)
        credentials = self._credentials(self._watched)
        channel = grpc.secure_channel(address, credentials, options=options)
        self._opened[channel] = self._watched.stamp
        return channel

    def is_stale(self, channel: object) -> bool:
        """Whether the files were replaced since the channel was opened (three `stat`s)."""
        if self._watched is None:
            return False
        self._watched.changed()
        return self._opened.get(channel) != self._watched.stamp

    @staticmethod
    def _credentials(watched: Watched) -> grpc.ChannelCredentials:
        watched.changed()
        pem = watched.pem
        return grpc.ssl_channel_credentials(pem.ca or None, pem.key or None, pem.cert or None)


def open_channel(address: str, tls: ClientTls | None, options: Options = ()) -> grpc.aio.Channel:
    """A channel for one purpose; who opens many keeps a `Dialer`. Raises TlsFault."""
    return Dialer(tls).open(address, options)
