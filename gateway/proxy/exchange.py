"""One request on its way to an instance, and the answer on its way back.

    begin -> connecting -> waiting -> streaming -> over
                ^             |  \\-> tunnel (101) ->  over
                +-- again ----+

An `Exchange` is owned by its `Front` until it calls `Front.on_over`; it owns a `Link` from
`on_connected` until it gives it back. Bytes are passed on as they come. When one side does not
read, the other is not read either.

What may be sent again (RFC 9110 section 9.2.2):

* no connection came about: nothing was sent, so any request, to another instance;
* the connection was lost before any byte of an answer: GET, HEAD, OPTIONS, PUT and DELETE, when the
  whole of what was sent is still here (`MAX_REPLAY`). Others, POST among them, are never sent
  twice: they get 502. That they meet a connection that the instance is just closing is made
  unlikely: they use connections that were in use a moment ago, or new ones.

A request that took too long (504), or any of whose answer has arrived, is not sent again. Each
repeat is paid from the service's retry budget and goes to an instance that was not tried yet; only
after the loss of a kept-alive connection, which says nothing about the instance, may it be the same
one.
"""

from __future__ import annotations

import enum
import math
import time
from typing import TYPE_CHECKING, Final

from gateway.proxy import faults
from gateway.proxy.forward import request_bytes, response_bytes
from gateway.proxy.framing import LAST_CHUNK, BadFraming, Framer, chunk, framer_of
from gateway.proxy.pool import Link
from gateway.proxy.problems import Refusal
from gateway.proxy.services import Instance, ProxiedService
from gateway.proxy.wire import (
    CHUNKED,
    MAX_HEAD,
    UNTIL_CLOSE,
    Garbage,
    RequestHead,
    ResponseHead,
    cookie_of,
    header_of,
    parse_response,
)

if TYPE_CHECKING:
    from gateway.proxy.front import Front

# Bytes of a request's body that are kept so that it can be sent again, and that are read before
# there is a connection to send them on.
MAX_REPLAY: Final = 65_536
# Interim answers (1xx) that one request may get.
MAX_INTERIM: Final = 16
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
_BLAMED: Final = frozenset((502, 503, 504))


class State(enum.Enum):
    """See the module's drawing."""

    CONNECTING = 1
    WAITING = 2
    STREAMING = 3
    TUNNEL = 4
    OVER = 5


class Exchange:
    """A request of a service. A `pool.LinkUser`."""

    __slots__ = (
        "_about",
        "_answer",
        "_body",
        "_chunked_answer",
        "_complete",
        "_endless",
        "_framer",
        "_front",
        "_head",
        "_idempotent",
        "_instance",
        "_interim",
        "_key",
        "_link",
        "_replayable",
        "_reuse",
        "_service",
        "_size",
        "_start",
        "_state",
        "_target",
        "_tried",
        "_tries",
        "request_id",
    )

    def __init__(
        self,
        front: Front,
        service: ProxiedService,
        head: RequestHead,
        *,
        target: bytes,
        about: bytes,
        request_id: bytes,
    ) -> None:
        self._front = front
        self._service = service
        self._head = head
        self._target = target
        self._about = about
        self.request_id = request_id
        self._idempotent = head.method in IDEMPOTENT
        self._state = State.CONNECTING
        self._start = time.perf_counter()
        self._instance: Instance | None = None
        self._link: Link | None = None
        self._tried: list[Instance] = []
        self._tries = 0
        self._key = self._hash_key()
        # The body's bytes for the wire, kept to send them (again); nothing when not replayable.
        self._body: list[bytes] = []
        self._size = 0
        self._replayable = True
        self._complete = head.length == 0
        # Bytes of the answer that are not read yet: a part of its head, of a chunk's line.
        self._answer = b""
        self._interim = 0
        self._framer: Framer | None = None
        self._chunked_answer = False
        # The answer ends with the connection.
        self._endless = False
        self._reuse = False

    def _hash_key(self) -> bytes | None:
        policy = self._service.policy
        if policy.hash_header:
            return header_of(self._head.lines, policy.hash_header)
        if policy.hash_cookie:
            return cookie_of(self._head.lines, policy.hash_cookie)
        return self._target.partition(b"?")[0] if policy.hash_path else None

    # -- the request

    def begin(self) -> None:
        """Send the request to an instance, or answer that there is none."""
        self._service.in_flight += 1
        now = self._front.now()
        instance = self._service.pick(self._key, (), now)
        if instance is None:
            self._refuse(self._none_left())
        else:
            self._try_on(instance, now)

    def _try_on(self, instance: Instance, now: float) -> None:
        self._instance = instance
        instance.in_flight += 1
        instance.stats.requests += 1
        options = self._front.options
        link = instance.pool.take(
            self, now, options.link_idle if self._idempotent else options.link_idle_unsafe
        )
        if link is not None:
            self._send(link)
        else:
            # The pool bounds the time that this takes.
            self._front.deadline = math.inf
            instance.pool.open(self)

    def _none_left(self) -> Refusal:
        service = self._service
        service.stats.no_instance += 1
        busy = bool(service.healthy)
        return faults.instances_busy(service.name) if busy else faults.no_instance(service.name)

    def on_connected(self, link: Link) -> None:
        """See LinkUser."""
        if self._state is State.OVER:
            assert self._instance is not None
            self._instance.pool.give_back(link, self._front.now())
            return
        self._send(link)

    def on_connect_failed(self, reason: str) -> None:
        """See LinkUser."""
        if self._state is State.OVER:
            return
        assert self._instance is not None
        refusal = faults.unreachable(self._service.name, self._instance.id, reason)
        self._tried.append(self._instance)
        self._leave_instance(failed=True)
        self._again(refusal)

    def _send(self, link: Link) -> None:
        assert self._instance is not None
        self._link = link
        self._state = State.WAITING
        data = request_bytes(
            self._head,
            target=self._target,
            authority=self._instance.authority,
            about=self._about,
            request_id=self.request_id,
        )
        if self._body:
            data += b"".join(self._body)
            if self._size > MAX_REPLAY:
                self._forget_body()
        link.transport.write(data)
        self._front.release()
        self._expect()

    def on_body(self, data: bytes, done: bool) -> None:
        """The next part of the request's body."""
        if self._head.length == CHUNKED:
            data = chunk(data) + LAST_CHUNK if done else chunk(data)
        self._complete = done
        if self._state is State.OVER:
            return
        if self._replayable:
            self._body.append(data)
            self._size += len(data)
        if self._link is None:
            if self._size > MAX_REPLAY:
                self._front.hold()
            return
        if self._size > MAX_REPLAY:
            self._forget_body()
        self._link.transport.write(data)
        if self._state is State.WAITING:
            self._expect()

    def on_tunnel(self, data: bytes) -> None:
        """Bytes from the client of an upgraded connection."""
        assert self._link is not None
        self._link.transport.write(data)
        self._front.deadline = self._front.now() + self._front.options.tunnel_idle

    def _forget_body(self) -> None:
        self._replayable = False
        self._body = []

    def _expect(self) -> None:
        """When the next thing must have happened: the rest of the request, or an answer."""
        front = self._front
        waits_for_client = not self._complete and not front.held
        seconds = front.options.read_timeout if waits_for_client else self._service.policy.timeout
        front.deadline = front.now() + seconds

    # -- flow

    def on_link_full(self, full: bool) -> None:
        """See LinkUser: do not read from the client what the instance does not read."""
        if full:
            self._front.hold()
        else:
            self._front.release()
        if self._state is State.WAITING:
            self._expect()

    def on_client_full(self, full: bool) -> None:
        """Do not read from the instance what the client does not read."""
        if self._link is None:
            return
        front = self._front
        if full:
            self._link.transport.pause_reading()
            front.deadline = front.now() + front.options.write_timeout
        else:
            self._link.transport.resume_reading()
            if self._state is State.WAITING:
                self._expect()
            else:
                front.deadline = front.now() + self._idle()

    def _idle(self) -> float:
        options = self._front.options
        if self._state is State.TUNNEL:
            return options.tunnel_idle
        return max(options.answer_idle, self._service.policy.timeout)

    # -- the answer

    def on_answer(self, data: bytes) -> None:
        """See LinkUser."""
        if self._state is State.STREAMING:
            self._pass_on(self._answer + data if self._answer else data, b"")
        elif self._state is State.TUNNEL:
            self._front.write(data)
            if not self._front.client_full:
                self._front.deadline = self._front.now() + self._front.options.tunnel_idle
        else:
            self._read_head(self._answer + data if self._answer else data)

    def _read_head(self, data: bytes) -> None:
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0 or end > MAX_HEAD:
                # Kept also when it is too long: whatever has arrived forbids sending again.
                self._answer = data
                if len(data) > MAX_HEAD:
                    self._garbage(f"an answer's head is longer than {MAX_HEAD} bytes")
                return
            try:
                head = parse_response(data[:end], self._head.method)
            except Garbage as error:
                self._answer = data
                self._garbage(str(error))
                return
            data = data[end + 4 :]
            if head.status >= 200:
                break
            if head.status == 101:
                if not head.upgrade or head.upgrade != self._head.upgrade:
                    self._garbage("it switched protocols without being asked to")
                    return
                self._become_tunnel(head, data)
                return
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._garbage("too many interim answers")
                return
            if self._head.minor:
                self._front.write(b"\r\n".join((head.status_line, *head.lines)) + b"\r\n\r\n")
            if not data:
                self._answer = b""
                self._expect()
                return
        self._answer = b""
        self._begin_answer(head, data)

    def _begin_answer(self, head: ResponseHead, data: bytes) -> None:
        service, front = self._service, self._front
        self._on_status(head.status)
        length = head.length
        # Without its whole body read, the next request on this connection could not be found.
        keep_alive = (
            self._head.keep_alive
            and self._complete
            and not front.leaving
            and (length >= 0 or self._head.minor == 1)
        )
        front.keep_alive = keep_alive
        out = response_bytes(head, minor=self._head.minor, keep_alive=keep_alive)
        self._reuse = head.keep_alive
        if length == len(data):
            front.write(out + data if data else out)
            self._finish()
            return
        self._state = State.STREAMING
        self._framer = framer_of(length)
        self._endless = length == UNTIL_CLOSE
        self._chunked_answer = length < 0 and self._head.minor == 1
        front.deadline = front.now() + max(front.options.answer_idle, service.policy.timeout)
        self._pass_on(data, out)

    def _on_status(self, status: int) -> None:
        """An answer has begun: what it says about the instance."""
        assert self._instance is not None
        service, instance = self._service, self._instance
        service.stats.statuses[min(5, status // 100)] += 1
        seconds = time.perf_counter() - self._start
        instance.stats.latencies.add(seconds)
        service.stats.latencies.add(seconds)
        if status in _BLAMED:
            service.on_failure(instance, self._front.now())
        elif instance.ejection.failures or instance.ejection.length:
            instance.ejection.succeeded(self._front.now())

    def _pass_on(self, data: bytes, before: bytes) -> None:
        assert self._framer is not None
        try:
            piece = self._framer.feed(data)
        except BadFraming:
            self._cut_short(failed=True)
            return
        rest = data[piece.taken :] if piece.taken < len(data) else b""
        body = piece.data
        if self._chunked_answer:
            body = chunk(body) + LAST_CHUNK if piece.done else chunk(body)
        if before or body:
            self._front.write(before + body)
        if piece.done:
            # More than the answer: the instance and we do not agree on where it ends.
            self._reuse = self._reuse and not rest
            self._finish()
            return
        self._answer = rest
        if self._state is State.STREAMING and not self._front.client_full:
            self._front.deadline = self._front.now() + self._idle()

    def _become_tunnel(self, head: ResponseHead, data: bytes) -> None:
        front = self._front
        self._on_status(101)
        self._state = State.TUNNEL
        self._answer = b""
        self._body = []
        front.keep_alive = False
        front.write(response_bytes(head, minor=1, keep_alive=True) + data)
        front.deadline = front.now() + front.options.tunnel_idle
        front.on_tunnel()

    def on_link_lost(self, error: Exception | None) -> None:
        """See LinkUser."""
        link, self._link = self._link, None
        assert link is not None
        assert self._instance is not None
        if self._state is State.TUNNEL:
            self._end(failed=False)
            self._front.close()
            return
        if self._state is State.STREAMING:
            if error is None and self._endless:
                self._front.write(LAST_CHUNK if self._chunked_answer else b"")
                self._finish()
            else:
                self._cut_short(failed=True)
            return
        if self._answer or self._interim:
            self._garbage("it closed the connection within an answer's head")
            return
        refusal = faults.reset(self._service.name, self._instance.id)
        instance = self._instance
        self._tried.append(instance)
        self._leave_instance(failed=not link.used)
        if not (self._idempotent and self._replayable):
            self._refuse(refusal)
            return
        if link.used and not self._others_left(instance):
            self._tried.remove(instance)
        self._again(refusal)

    def _others_left(self, instance: Instance) -> bool:
        return any(one not in self._tried for one in self._service.healthy if one is not instance)

    # -- ends

    def _again(self, refusal: Refusal) -> None:
        """Another try, if that is allowed; `refusal` if not. Nothing of the body was lost."""
        service, now = self._service, self._front.now()
        instance = None
        if self._tries < service.policy.retries:
            instance = service.pick(self._key, self._tried, now)
        if instance is None or not service.budget.take(now):
            self._refuse(refusal)
            return
        self._tries += 1
        service.stats.retries += 1
        self._state = State.CONNECTING
        self._try_on(instance, now)

    def _garbage(self, detail: str) -> None:
        assert self._instance is not None
        refusal = faults.garbage(self._service.name, self._instance.id, detail)
        self._leave_instance(failed=True)
        self._refuse(refusal)

    def on_deadline(self) -> None:
        """Something took too long."""
        front = self._front
        if self._state is State.WAITING:
            assert self._instance is not None
            if not self._complete and not front.held:
                self._leave_instance(failed=False)
                self._refuse(
                    Refusal(408, "REQUEST_TIMEOUT", "the rest of the request did not come")
                )
                return
            seconds = self._service.policy.timeout
            refusal = faults.too_slow(self._service.name, self._instance.id, seconds)
            self._leave_instance(failed=True)
            self._refuse(refusal)
        elif self._state is State.TUNNEL:
            self._end(failed=False)
            front.close()
        elif self._state is State.STREAMING:
            self._cut_short(failed=not front.client_full)

    def on_client_lost(self) -> None:
        """Nobody waits for the answer any more."""
        if self._state is State.STREAMING:
            self._service.stats.aborted += 1
        self._end(failed=False)

    def _cut_short(self, *, failed: bool) -> None:
        """The answer cannot be completed: a reset tells the client so."""
        self._service.stats.aborted += 1
        self._end(failed=failed)
        self._front.abort()

    def _refuse(self, refusal: Refusal) -> None:
        self._service.stats.statuses[refusal.status // 100] += 1
        self._end(failed=False)
        self._front.refuse(refusal, self._head, self.request_id, complete=self._complete)

    def _finish(self) -> None:
        """The answer is complete."""
        link, self._link = self._link, None
        instance = self._instance
        assert instance is not None
        if link is not None:
            if self._front.client_full:
                link.transport.resume_reading()
            if self._reuse and self._complete:
                instance.pool.give_back(link, self._front.now())
            else:
                link.drop()
        self._end(failed=False)
        self._front.on_over()

    def _leave_instance(self, *, failed: bool) -> None:
        """This try is over."""
        link, self._link = self._link, None
        if link is not None:
            link.drop()
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.in_flight -= 1
            if failed:
                self._service.on_failure(instance, self._front.now())

    def _end(self, *, failed: bool) -> None:
        """The whole exchange is over: nothing is called here after this."""
        if self._state is not State.OVER:
            connecting = self._instance if self._state is State.CONNECTING else None
            self._state = State.OVER
            self._service.in_flight -= 1
            self._leave_instance(failed=failed)
            # Its connection may still come, and goes back to this pool.
            self._instance = connecting
            self._body = []
            self._front.release()
