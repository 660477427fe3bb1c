"""One request on its way to an instance, and the answer on its way back.

    begin -> connecting -> waiting -> streaming -> over
                ^             |  \\-> tunnel (101) ->  over
                +-- again ----+

An `Exchange` is owned by its `ClientConnection` until it calls `ClientConnection.on_over`; it owns
a `Link` from `on_connected` until it gives it back. Bytes are passed on as they come. When one side
does not read, the other is not read either.

What may be sent again (RFC 9110 section 9.2.2):

* no connection came about: nothing was sent, so any request, to another instance;
* the connection was lost before any byte of an answer: GET, HEAD, OPTIONS, PUT and DELETE, when the
  whole of what was sent is still here (`MAX_REPLAY`). Others, POST among them, are never sent
  twice: they get 502. That they meet a connection that the instance is just closing is made
  unlikely: they use connections that were in use a moment ago, or new ones.

A request that took too long (504), or any of whose answer has arrived, is not sent again. Where it
is sent again, and how often, is `tries`.
"""

from __future__ import annotations

import math
import time
from typing import Final

from gateway.proxy.balancing.pool import Link, Pool
from gateway.proxy.balancing.services import Instance, ProxiedService
from gateway.proxy.balancing.tries import Tries
from gateway.proxy.downstream import Downstream
from gateway.proxy.exchange_flow import ExchangeFlow, State
from gateway.proxy.http1 import rejections as rejections
from gateway.proxy.http1.answer import Answer
from gateway.proxy.http1.forwarded_headers import request_bytes, response_bytes
from gateway.proxy.http1.framing import LAST_CHUNK, BadFraming, chunk
from gateway.proxy.http1.heads import CHUNKED, Garbage, RequestHead, ResponseHead
from gateway.proxy.http1.problems import Rejection

# Bytes of a request's body that are kept so that it can be sent again, and that are read before
# there is a connection to send them on.
MAX_REPLAY: Final = 65_536
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class Exchange(ExchangeFlow):
    """A request of a service. A `pool.LinkUser`."""

    __slots__ = (
        "_about",
        "_answer",
        "_body",
        "_head",
        "_idempotent",
        "_pool",
        "_replayable",
        "_shares_origin",
        "_size",
        "_start",
        "_target",
        "_tries",
        "request_id",
    )

    def __init__(
        self,
        client: Downstream,
        service: ProxiedService,
        head: RequestHead,
        *,
        target: bytes,
        about: bytes,
        request_id: bytes,
        shares_origin: bool,
    ) -> None:
        super().__init__(client, service, complete=head.length == 0)
        self._head = head
        self._target = target
        self._about = about
        self.request_id = request_id
        # The service is served at a path of the gateway, beside others and the dashboard.
        self._shares_origin = shares_origin
        self._idempotent = head.method in IDEMPOTENT
        self._start = time.perf_counter()
        self._tries = Tries(service, head, target)
        self._answer = Answer(head)
        # Whose link it is, or was asked for last.
        self._pool: Pool | None = None
        # The body's bytes for the wire, kept to send them (again); nothing when not replayable.
        self._body: list[bytes] = []
        self._size = 0
        self._replayable = True

    # -- the request

    def begin(self) -> None:
        """Send the request to an instance, or answer that there is none."""
        self._service.in_flight += 1
        now = self._client.now()
        instance = self._tries.first(now)
        if instance is None:
            self._refuse(self._tries.none_left())
        else:
            self._try_on(instance, now)

    def _try_on(self, instance: Instance, now: float) -> None:
        self._pool = instance.pool
        options = self._client.options
        link = instance.pool.take(
            self, now, options.link_idle if self._idempotent else options.link_idle_unsafe
        )
        if link is not None:
            self._send(link)
        else:
            # The pool bounds the time that this takes.
            self._client.deadline = math.inf
            instance.pool.open(self)

    def on_connected(self, link: Link) -> None:
        """See LinkUser."""
        if self._state is State.OVER:
            # It was on its way when its request ended.
            assert self._pool is not None
            self._pool.give_back(link, self._client.now())
            return
        self._send(link)

    def on_connect_failed(self, reason: str) -> None:
        """See LinkUser."""
        if self._state is State.OVER:
            return
        assert self._tries.instance is not None
        rejection = rejections.unreachable(self._service.name, self._tries.instance.id, reason)
        self._tries.failed(self._client.now(), kept_alive=False)
        self._again(rejection)

    def _send(self, link: Link) -> None:
        assert self._tries.instance is not None
        self._link = link
        self._state = State.WAITING
        data = request_bytes(
            self._head,
            target=self._target,
            authority=self._tries.instance.authority,
            about=self._about,
            request_id=self.request_id,
        )
        if self._body:
            data += b"".join(self._body)
            if self._size > MAX_REPLAY:
                self._forget_body()
        link.transport.write(data)
        self._client.release()
        self._renew_patience()
        self._expect()

    def on_body(self, data: bytes, done: bool) -> None:
        """The next part of the request's body."""
        if self._head.length == CHUNKED:
            data = chunk(data) + LAST_CHUNK if done else chunk(data)
        self._complete = done
        if self._state is State.OVER:
            return
        if self._patience is not None:
            self._patience.came(len(data), self._client.now())
        if self._replayable:
            self._body.append(data)
            self._size += len(data)
        if self._link is None:
            if self._size > MAX_REPLAY:
                self._client.hold()
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
        self._client.deadline = self._client.now() + self._client.options.tunnel_idle

    def _forget_body(self) -> None:
        self._replayable = False
        self._body = []

    def on_bad_body(self) -> bool:
        """The rest of the request cannot be read. Whether nothing of an answer was passed on."""
        unanswered = self._state in (State.CONNECTING, State.WAITING)
        if unanswered:
            self._service.stats.statuses[4] += 1
        else:
            self._service.stats.aborted += 1
        self._end(failed=False)
        return unanswered

    # -- the answer

    def on_answer(self, data: bytes) -> None:
        """See LinkUser."""
        if self._state is State.STREAMING:
            self._pass_on(data, b"")
        elif self._state is State.TUNNEL:
            self._client.write(data)
            if not self._client.client_full:
                self._client.deadline = self._client.now() + self._client.options.tunnel_idle
        else:
            self._read_heads(data)

    def _read_heads(self, data: bytes) -> None:
        answer = self._answer
        while True:
            try:
                head = answer.head(data)
            except Garbage as error:
                self._garbage(str(error))
                return
            if head is None:
                return
            if head.status >= 200:
                self._begin_answer(head)
                return
            if head.status == 101:
                self._become_tunnel(head)
                return
            if self._head.minor:
                self._client.write(b"\r\n".join((head.status_line, *head.lines)) + b"\r\n\r\n")
            if not answer.unread:
                self._expect()
                return
            data = b""

    def _begin_answer(self, head: ResponseHead) -> None:
        answer, client = self._answer, self._client
        if head.origin_wide and not self._shares_origin:
            head.lines += head.origin_wide
        self._tries.answered(head.status, time.perf_counter() - self._start, client.now())
        length = head.length
        # Without its whole body read, the next request on this connection could not be found.
        keep_alive = (
            self._head.keep_alive
            and self._complete
            and not client.shutting_down
            and (length >= 0 or self._head.minor == 1)
        )
        client.keep_alive = keep_alive
        out = response_bytes(head, minor=self._head.minor, keep_alive=keep_alive)
        answer.reusable = head.keep_alive
        if length == len(answer.unread):
            client.write(out + answer.take())
            self._finish()
            return
        self._state = State.STREAMING
        answer.expect_body(head)
        client.deadline = client.now() + self._idle()
        self._pass_on(b"", out)

    def _pass_on(self, data: bytes, before: bytes) -> None:
        try:
            body, done = self._answer.body(data)
        except BadFraming:
            self._cut_short(failed=True)
            return
        if before or body:
            self._client.write(before + body)
        if done:
            self._finish()
        elif self._state is State.STREAMING and not self._client.client_full:
            self._client.deadline = self._client.now() + self._idle()

    def _become_tunnel(self, head: ResponseHead) -> None:
        client = self._client
        if head.origin_wide and not self._shares_origin:
            head.lines += head.origin_wide
        self._tries.answered(101, time.perf_counter() - self._start, client.now())
        self._state = State.TUNNEL
        self._body = []
        client.keep_alive = False
        client.write(response_bytes(head, minor=1, keep_alive=True) + self._answer.take())
        client.deadline = client.now() + client.options.tunnel_idle
        client.on_tunnel()

    def on_link_lost(self, error: Exception | None) -> None:
        """See LinkUser."""
        link, self._link = self._link, None
        assert link is not None
        assert self._tries.instance is not None
        if self._state is State.TUNNEL:
            self._end(failed=False)
            self._client.close()
            return
        if self._state is State.STREAMING:
            if error is None and self._answer.endless:
                self._client.write(self._answer.ending)
                self._finish()
            else:
                self._cut_short(failed=True)
            return
        if self._answer.started:
            self._garbage("it closed the connection within an answer's head")
            return
        rejection = rejections.reset(self._service.name, self._tries.instance.id)
        self._tries.failed(self._client.now(), kept_alive=link.used)
        if self._idempotent and self._replayable:
            self._again(rejection)
        else:
            self._refuse(rejection)

    # -- ends

    def _again(self, rejection: Rejection) -> None:
        """Another try, if that is allowed; `refusal` if not. Nothing of the body was lost."""
        now = self._client.now()
        instance = self._tries.again(now)
        if instance is None:
            self._refuse(rejection)
            return
        self._state = State.CONNECTING
        self._try_on(instance, now)

    def _garbage(self, detail: str) -> None:
        assert self._tries.instance is not None
        rejection = rejections.garbage(self._service.name, self._tries.instance.id, detail)
        self._leave_instance(failed=True)
        self._refuse(rejection)

    def on_deadline(self) -> None:
        """Something took too long."""
        client = self._client
        if self._state is State.WAITING:
            assert self._tries.instance is not None
            if not self._complete and not client.held:
                self._leave_instance(failed=False)
                self._refuse(rejections.request_too_slow())
                return
            seconds = self._service.policy.timeout
            if client.half_closed and client.options.half_closed < seconds:
                # Perhaps it is gone; the instance has done nothing wrong.
                seconds = client.options.half_closed
                self._leave_instance(failed=False)
                self._refuse(rejections.half_closed(seconds))
                return
            rejection = rejections.too_slow(self._service.name, self._tries.instance.id, seconds)
            self._leave_instance(failed=True)
            self._refuse(rejection)
        elif self._state is State.TUNNEL:
            self._end(failed=False)
            client.close()
        elif self._state is State.STREAMING:
            self._cut_short(failed=not (client.client_full or client.half_closed))

    def on_client_lost(self) -> None:
        """Nobody waits for the answer any more."""
        if self._state is State.STREAMING:
            self._service.stats.aborted += 1
        self._end(failed=False)

    def _cut_short(self, *, failed: bool) -> None:
        """The answer cannot be completed: a reset shows that to the client."""
        self._service.stats.aborted += 1
        self._end(failed=failed)
        self._client.abort()

    def _refuse(self, rejection: Rejection) -> None:
        self._service.stats.statuses[rejection.status // 100] += 1
        self._end(failed=False)
        self._client.refuse(rejection, self._head, self.request_id, complete=self._complete)

    def _finish(self) -> None:
        """The answer is complete."""
        link, self._link = self._link, None
        assert self._pool is not None
        if link is not None:
            if self._client.client_full:
                link.transport.resume_reading()
            if self._answer.reusable and self._complete:
                self._pool.give_back(link, self._client.now())
            else:
                link.drop()
        self._end(failed=False)
        self._client.on_over()

    def _leave_instance(self, *, failed: bool) -> None:
        """This try is over."""
        link, self._link = self._link, None
        if link is not None:
            link.drop()
        self._tries.leave(self._client.now(), failed=failed)

    def _end(self, *, failed: bool) -> None:
        """The whole exchange is over: nothing is called here after this."""
        if self._state is not State.OVER:
            self._state = State.OVER
            self._service.in_flight -= 1
            self._leave_instance(failed=failed)
            self._body = []
            self._client.release()
