"""Channels to the members of one etcd cluster, and which of them to use.

One channel per endpoint, since a gRPC address list has one TLS authority for all of its addresses.
`Channels` owns them. All calls use the current endpoint until it fails; then the next one becomes
current, for all calls. Nothing here repeats an RPC.

Channels are opened on first use, inside the event loop that uses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from quorate.etcd.wire import Stubs
from quorate.runtime.network.keepalive import BETWEEN_PROCESSES, client_keepalive
from quorate.security.tls.dialer import ClientTls, Dialer

_MEBIBYTE = 1024 * 1024
# Seconds that calls on a channel with former certificates have to end by themselves.
_RETIRE_GRACE = 5.0

_OPTIONS: tuple[tuple[str, int], ...] = (
    # A range or a watch response may be larger than gRPC's 4 MiB; this bounds it all the same.
    ("grpc.max_receive_message_length", 64 * _MEBIBYTE),
    ("grpc.max_send_message_length", 64 * _MEBIBYTE),
    # etcd refuses pings more often than every 5 s, and any without a call under way.
    *client_keepalive(*BETWEEN_PROCESSES),
    ("grpc.keepalive_permit_without_calls", 0),
    # A proxy that the environment names is for the web, and gets no credentials of etcd's.
    ("grpc.enable_http_proxy", 0),
    # A write must reach etcd at most once: no layer below repeats anything.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # An etcd that restarts is found again soon; a member that stays away costs two tries a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Two clients in one process share neither connection nor backoff.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class EtcdTls:
    """TLS to etcd: paths of PEM files. With `cert_file` and `key_file` the client shows a
    certificate too (mTLS)."""

    ca_file: str
    cert_file: str = ""
    key_file: str = ""

    def dialer(self) -> Dialer:
        """Reads the files; OSError when one cannot be read, TlsError when they do not fit."""
        for path in filter(None, (self.ca_file, self.cert_file, self.key_file)):
            with open(path, "rb"):
                pass
        return Dialer(ClientTls(self.ca_file, self.cert_file, self.key_file, flags="etcd"))


class Endpoint:
    """One member: its address, channel and stubs."""

    def __init__(self, address: str, dialer: Dialer) -> None:
        self.address = address
        self.channel = dialer.open(address, _OPTIONS)
        self.stubs = Stubs(self.channel)

    async def connected(self, patience: float) -> bool:
        """Whether the channel is ready, waiting up to `patience` seconds for an attempt under way.

        False at once while the channel is backing off after a refused attempt.
        """
        state = self.channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return True
        try:
            async with asyncio.timeout(patience):
                while state is not grpc.ChannelConnectivity.READY:
                    if state in _FAILED:
                        return False
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            return False
        return True


_FAILED = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


class Channels:
    """The endpoints, one of them current."""

    def __init__(self, addresses: Sequence[str], tls: EtcdTls | None) -> None:
        if not addresses:
            raise ValueError("at least one etcd endpoint is needed")
        self._addresses = list(addresses)
        self._dialer = tls.dialer() if tls else Dialer(None)
        self._endpoints: list[Endpoint] = []
        # Being closed: at most one for each endpoint and change of certificates.
        self._retiring: set[asyncio.Task[None]] = set()
        self._current = 0
        self.closed = False

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def names(self) -> str:
        """For messages."""
        return ", ".join(self._addresses)

    @property
    def current(self) -> Endpoint:
        """The endpoint that calls go to."""
        if not self._endpoints:
            self._endpoints = [Endpoint(a, self._dialer) for a in self._addresses]
        return self._endpoints[self._current]

    def failed(self, endpoint: Endpoint) -> None:
        """Move on from `endpoint`, unless another call has done so already.

        One whose certificates were replaced gets a new channel with the new ones, and is tried
        again.
        """
        if self._dialer.is_stale(endpoint.channel) and endpoint in self._endpoints:
            fresh = Endpoint(endpoint.address, self._dialer)
            self._endpoints[self._endpoints.index(endpoint)] = fresh
            closing = asyncio.ensure_future(endpoint.channel.close(_RETIRE_GRACE))
            self._retiring.add(closing)
            closing.add_done_callback(self._retiring.discard)
        elif self.current is endpoint:
            self._current = (self._current + 1) % len(self._addresses)

    async def close(self) -> None:
        """Close all channels; calls under way are cancelled."""
        self.closed = True
        for endpoint in self._endpoints:
            await endpoint.channel.close(None)
        for closing in self._retiring:
            closing.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
