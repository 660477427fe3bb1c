"""Serves the programs of one user alone: the rule of a cluster that `quorate up` runs in the open.

On loopback a port is every local user's, and who may submit a task runs programs as the cluster's
user. With `--same-user` a server asks the kernel whose socket a connection comes from, and serves
only those of its own user, and of root, who may become that user anyway. Nothing is configured and
nothing is shown: the user's own programs, browsers and curl pass as they are.

The kernel knows a socket by its four-tuple (`sock_diag(7)`, else `/proc/net/tcp`). A tuple is
nobody else's while our end of the connection exists, so the answer is about this very connection.
A socket that its process has closed has no owner any more (the kernel then says uid 0, inode 0):
that is a refusal, or whoever hangs up early would pass for root.

`PortHolds` is the other direction: nobody else listens where a process of the cluster is being
restarted. The kernel lets sockets share a port by SO_REUSEPORT only when they are of one user.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import unquote

import grpc
from pydantic import BaseModel, Field, model_validator

from quorate.runtime.errors import QuorateError, abort
from quorate.runtime.network.addresses import split_address

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ERROR: Final = 2
_ALL_STATES: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_NLMSG: Final = struct.Struct("=IHHII")
_QUERY: Final = struct.Struct("=BBBxI")
# Of struct inet_diag_msg, behind the header of the message.
_HEAD: Final = struct.Struct("=BB2x2s2s")
_OWNER: Final = struct.Struct("=II")
_OWNER_AT: Final = 64
# ESTABLISHED; FIN_WAIT1 and FIN_WAIT2: it has sent all that it had to say, and reads on.
_OPEN: Final = frozenset((1, 4, 5))
ROOT: Final = 0
_LOOPBACK6: Final = "::1"
# A machine without IPv6, or without that address: there nobody else can have it either.
NO_IPV6: Final = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))

Address = tuple[str, int]


class SameUser:
    """Whose socket a connection to this process comes from.

    Args:
        uid: whom to serve, beside root; this process's own user when left out.
    """

    def __init__(self, uid: int | None = None) -> None:
        self.uid = os.geteuid() if uid is None else uid
        self._netlink: socket.socket | None = None

    def serves(self, peer: Any, local: Any) -> bool:
        """Whether the connection from `peer` to `local`, (host, port) each, is to be served.

        False whenever the kernel does not name an owner. Costs 9 us.
        """
        try:
            owner = owner_of_peer(self._diag(), peer[:2], local[:2])
        except (LookupError, TypeError, OSError, ValueError, struct.error):
            return False
        return owner is not None and owner in (self.uid, ROOT)

    def __del__(self) -> None:
        # Lives as long as the server that asks it.
        if self._netlink is not None:
            self._netlink.close()

    def _diag(self) -> socket.socket | None:
        if self._netlink is None and sys.platform.startswith("linux"):
            try:
                self._netlink = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
                )
            except OSError:
                # A sandbox without it: /proc is read instead, at 2 ms a thousand sockets.
                return None
        return self._netlink

    def rejection(self) -> QuorateError:
        """What a stranger is answered."""
        return QuorateError(
            grpc.StatusCode.PERMISSION_DENIED,
            "OTHER_USER",
            "this process accepts only programs of the user that started it "
            "(--same-user); 'quorate up --secure' accepts every user with a token",
        )


def owner_of_peer(netlink: socket.socket | None, peer: Address, local: Address) -> int | None:
    """The uid of the process that holds the other end of a TCP connection over IPv4.

    None: there is no such socket, or nobody holds it any more. Raises OSError, ValueError.
    """
    if netlink is not None:
        try:
            return _asked(netlink, peer, local)
        except OSError:
            pass
    for table in ("tcp", "tcp6"):
        found = _listed(Path("/proc/net") / table, peer, local)
        if found is not None:
            return found
    return None


def _asked(netlink: socket.socket, peer: Address, local: Address) -> int | None:
    pair = struct.pack("!HH", peer[1], local[1])
    query = (
        _QUERY.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES)
        + pair
        + socket.inet_aton(peer[0]).ljust(16, b"\0")
        + socket.inet_aton(local[0]).ljust(16, b"\0")
        + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    )
    length = _NLMSG.size + len(query)
    netlink.send(_NLMSG.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + query)
    answer = netlink.recv(8192)
    kind = _NLMSG.unpack_from(answer)[1]
    if kind == _ERROR:
        code = -struct.unpack_from("=i", answer, _NLMSG.size)[0]
        if code == 2:  # ENOENT
            return None
        raise OSError(code, os.strerror(code))
    _, state, sport, dport = _HEAD.unpack_from(answer, _NLMSG.size)
    if sport + dport != pair or state not in _OPEN:
        return None
    uid, inode = _OWNER.unpack_from(answer, _NLMSG.size + _OWNER_AT)
    return uid if inode else None


def _listed(table: Path, peer: Address, local: Address) -> int | None:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return None
    wanted = (_hex(peer), _hex(local))
    for line in lines:
        words = line.split()
        here, there = words[1][-13:], words[2][-13:]
        if (here, there) == wanted and int(words[3], 16) in _OPEN and words[9] != "0":
            return int(words[7])
    return None


def _hex(address: Address) -> str:
    """As /proc has it: the address in the machine's order, the port in hexadecimal."""
    return f"{struct.unpack('=I', socket.inet_aton(address[0]))[0]:08X}:{address[1]:04X}"


class SameUserSettings(BaseModel):
    """The setting, mixed into those of each service. List it before the base with the config."""

    same_user: bool = Field(
        default=False,
        description="accept connections of this process's own user (and root) only; needs "
        "Linux and an IPv4 loopback address",
    )

    @model_validator(mode="after")
    def _check_same_user(self) -> SameUserSettings:
        if not self.same_user:
            return self
        if not sys.platform.startswith("linux"):
            raise ValueError("same-user: needs Linux")
        for name in ("listen", "health_listen", "amqp"):
            value = getattr(self, name, "")
            if value and not split_address(value, least_port=0)[0].startswith("127."):
                raise ValueError(
                    f"same-user: {name.replace('_', '-')} {value} is not an address of IPv4 "
                    "loopback such as 127.0.0.1"
                )
        return self

    @property
    def owner(self) -> SameUser | None:
        """Decides whom to serve; None: everybody who reaches the port."""
        return SameUser() if self.same_user else None


class SameUserInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuses every call of a `grpc.aio` server that comes from another user's process.

    gRPC does not tell its own end of a connection, and a server has its interceptors before it has
    a port: `listens_at` says the port before the server starts.
    """

    def __init__(self, owner: SameUser) -> None:
        self._owner = owner
        self._local: Address = ("", 0)
        # By path: as many as the server has methods.
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    def listens_at(self, local: Address) -> None:
        """Note the server's own address; to be called before the server starts."""
        self._local = local

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """See grpc.aio.ServerInterceptor."""
        path = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        known = self._wrapped.get(path)
        if known is None or known[0] is not handler:
            known = self._wrapped[path] = (handler, self._wrap(handler))
        return known[1]

    async def _check(self, context: Any) -> None:
        peer = context.peer()
        kind, _, address = unquote(peer).partition(":")
        host, _, port = address.rpartition(":")
        if kind == "ipv6":
            host = host.strip("[]").removeprefix("::ffff:")
        if not port.isdigit() or not self._owner.serves((host, int(port)), self._local):
            await abort(context, self._owner.rejection())

    def _wrap(self, handler: Any) -> Any:
        check = self._check
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream

            async def stream(request: Any, context: Any) -> None:
                await check(context)
                answers = inner(request, context)
                if hasattr(answers, "__aiter__"):
                    async for answer in answers:
                        await context.write(answer)
                else:
                    await answers

            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(stream, handler.request_deserializer, handler.response_serializer)
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def unary(request: Any, context: Any) -> Any:
            await check(context)
            return await inner(request, context)

        make = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(unary, handler.request_deserializer, handler.response_serializer)


class PortHolds:
    """Ports of 127.0.0.1 on which only servers of this user may listen while it is open.

    Nothing listens here: a connect is refused unless a server listens too, with SO_REUSEPORT set.

    The same ports of ::1 are held as well: `localhost`, and every name below it, means both
    addresses, and browsers and gRPC try ::1 first.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> PortHolds:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._held:
            self._held.pop().close()

    def take(self, host: str, ports: Iterable[int]) -> None:
        """Hold some ports. Raises OSError when another server has one; then none of them is held.

        A port is "in use" also for the minute after the last connection of a server that did not
        set SO_REUSEPORT.
        """
        before = len(self._held)
        try:
            for port in ports:
                self._hold(socket.AF_INET, host, port)
                try:
                    self._hold(socket.AF_INET6, _LOOPBACK6, port)
                except OSError as error:
                    if error.errno not in NO_IPV6:
                        raise
        except OSError:
            while len(self._held) > before:
                self._held.pop().close()
            raise

    def _hold(self, family: socket.AddressFamily, host: str, port: int) -> None:
        hold = socket.socket(family)
        self._held.append(hold)
        hold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        hold.bind((host, port))
