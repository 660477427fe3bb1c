"""Virtual hosts, exchanges and bindings."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid, not_found
from quorate.security.identity import current_caller
from quorate.security.message_names import check_exchange, shows
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2
from scheduler.api.broker import validate, views
from scheduler.api.broker.pages import page
from scheduler.api.broker.steps import Steps
from scheduler.api.origin import may_submit
from scheduler.api.servicer import Context
from scheduler.core.broker import events as e
from scheduler.core.broker.routing import checks
from scheduler.core.broker.routing.rows import Binding, Destination, DestinationKind, Exchange
from scheduler.core.broker.routing.virtual_host import VirtualHost
from scheduler.core.broker.state import DEFAULT_VIRTUAL_HOST

MOST_VIRTUAL_HOSTS: Final = 1_000
_KINDS: Final = {
    "message_queue": DestinationKind.QUEUE,
    "exchange": DestinationKind.EXCHANGE,
    "task_queue": DestinationKind.TASK_QUEUE,
}


class ExchangeCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._broker = steps.broker

    def _host(self, name: str) -> VirtualHost:
        return self._broker.state.router.host(validate.virtual_host(name))

    # -- virtual hosts

    async def CreateVirtualHost(
        self, request: pb.CreateVirtualHostRequest, context: Context
    ) -> Message:
        name = validate.name("name", request.name)
        known: bool = False

        def make(token: e.Token) -> object:
            nonlocal known
            known = name in self._broker.state.router.virtual_hosts
            if not known:
                # 100,000 exchanges each.
                validate.room(
                    "TOO_MANY_VIRTUAL_HOSTS",
                    "virtual hosts",
                    len(self._broker.state.router.virtual_hosts),
                    MOST_VIRTUAL_HOSTS,
                )
            return e.VirtualHostAsked(name, token)

        await self._steps.change(
            *("CreateVirtualHost", request, context, "virtual_host", name),
            make,
            lambda answer: not known,
        )
        return pb.CreateVirtualHostResponse(virtual_host=pb.VirtualHost(name=name))

    async def ListVirtualHosts(
        self, request: pb.ListVirtualHostsRequest, context: Context
    ) -> Message:
        names, token = await page(
            *("virtual hosts", (), self._broker.state.router.virtual_hosts, str),
            *(request.page_size, request.page_token),
        )
        await self._broker.readable()
        return pb.ListVirtualHostsResponse(
            virtual_hosts=[pb.VirtualHost(name=name) for name in names], next_page_token=token
        )

    async def DeleteVirtualHost(
        self, request: pb.DeleteVirtualHostRequest, context: Context
    ) -> Message:
        name = validate.name("name", request.name)
        await self._steps.change(
            *("DeleteVirtualHost", request, context, "virtual_host", name),
            lambda token: e.VirtualHostDeleteAsked(name, token),
        )
        return pb.DeleteVirtualHostResponse()

    # -- exchanges

    async def CreateExchange(self, request: pb.CreateExchangeRequest, context: Context) -> Message:
        asked = request.exchange
        host = validate.virtual_host(asked.virtual_host)
        name = validate.name("exchange.name", asked.name)
        if asked.type not in views.EXCHANGE_TYPES:
            raise invalid(
                "exchange.type",
                "is required" if not asked.type else f"{asked.type} is not a known value",
            )
        row = Exchange(
            host,
            name,
            views.EXCHANGE_TYPES[asked.type],
            asked.durable,
            asked.auto_delete,
            asked.internal,
            validate.arguments("exchange.arguments", asked.arguments),
        )
        caller, alternate = current_caller(), checks.alternate(row.arguments)
        if caller is not None and alternate is not None:
            check_exchange(caller, f"exchange.arguments.{checks.ALTERNATE}", host, alternate)
        known = False

        def make(token: e.Token) -> object:
            nonlocal known
            there = self._broker.state.router.virtual_hosts.get(host)
            known = there is not None and name in there.exchanges
            return e.ExchangeDeclared(row, token)

        answer = await self._steps.change(
            *("CreateExchange", request, context, "exchange", named(host, name)),
            make,
            lambda answer: not known,
        )
        assert isinstance(answer, Exchange)
        there = self._broker.state.router.virtual_hosts.get(host)
        bindings = 0 if there is None else there.count_from(name)
        return pb.CreateExchangeResponse(exchange=views.exchange(answer, bindings))

    async def GetExchange(self, request: pb.GetExchangeRequest, context: Context) -> Message:
        name = validate.name("name", request.name)
        host = self._host(request.virtual_host)
        found = host.exchanges.get(name)
        view = None if found is None else views.exchange(found.row, host.count_from(name))
        await self._broker.readable()
        if view is None:
            raise not_found("exchange", name)
        return pb.GetExchangeResponse(exchange=view)

    async def ListExchanges(self, request: pb.ListExchangesRequest, context: Context) -> Message:
        host = self._host(request.virtual_host)
        # The default exchange has no name, and nobody can ask for it.
        caller = current_caller()
        known = [
            state.row
            for name, state in host.exchanges.items()
            if name and shows(caller, host.name, name)
        ]
        rows, token = await page(
            *("exchanges", (host.name,), known, lambda row: row.name),
            *(request.page_size, request.page_token),
        )
        seen = [views.exchange(row, host.count_from(row.name)) for row in rows]
        await self._broker.readable()
        return pb.ListExchangesResponse(exchanges=seen, next_page_token=token)

    async def DeleteExchange(self, request: pb.DeleteExchangeRequest, context: Context) -> Message:
        host = validate.virtual_host(request.virtual_host)
        name = validate.name("name", request.name)
        if_unused = request.if_unused
        await self._steps.change(
            *("DeleteExchange", request, context, "exchange", named(host, name)),
            lambda token: e.ExchangeDeleteAsked(host, name, if_unused, token),
        )
        return pb.DeleteExchangeResponse()

    # -- bindings

    async def CreateBinding(self, request: pb.CreateBindingRequest, context: Context) -> Message:
        row = _binding(request.binding)
        session = validate.session(request.session)
        if row.destination.kind is DestinationKind.TASK_QUEUE:
            may_submit("bind a task queue")
        before = 0

        def make(token: e.Token) -> object:
            nonlocal before
            before = self._next_ordinal(row.virtual_host)
            binding = row.source, row.destination, row.key, row.arguments
            return e.BindingAsked(row.virtual_host, *binding, token, session)

        await self._steps.change(
            *("CreateBinding", request, context, "exchange", named(row.virtual_host, row.source)),
            make,
            lambda answer: self._next_ordinal(row.virtual_host) > before,
        )
        return pb.CreateBindingResponse(binding=views.binding(row))

    async def ListBindings(self, request: pb.ListBindingsRequest, context: Context) -> Message:
        host = self._host(request.virtual_host)
        source = validate.short("source", request.source)
        to = _destination(request)
        known = host.bindings if to is None else host.to(to)
        if source:
            of_source = host.of(source)
            # The fewer ones: an exchange may have 500,000.
            known = min(known, of_source, key=len)

        def wanted(row: Binding) -> bool:
            return (not source or row.source == source) and (to is None or row.destination == to)

        rows, token = await page(
            "bindings",
            (host.name, source, *(("QUEUE", "") if to is None else (to.kind.name, to.name))),
            known.values(),
            lambda row: row.ordinal,
            request.page_size,
            request.page_token,
            int,
            wanted,
        )
        await self._broker.readable()
        return pb.ListBindingsResponse(bindings=map(views.binding, rows), next_page_token=token)

    async def DeleteBinding(self, request: pb.DeleteBindingRequest, context: Context) -> Message:
        row = _binding(request.binding)
        session = validate.session(request.session)
        known = False

        def make(token: e.Token) -> object:
            nonlocal known
            host = self._broker.state.router.virtual_hosts.get(row.virtual_host)
            known = host is not None and row.id in host.bindings
            binding = row.source, row.destination, row.key, row.arguments
            return e.UnbindAsked(row.virtual_host, *binding, token, session)

        await self._steps.change(
            *("DeleteBinding", request, context, "exchange", named(row.virtual_host, row.source)),
            make,
            lambda answer: known,
        )
        return pb.DeleteBindingResponse()

    def _next_ordinal(self, virtual_host: str) -> int:
        host = self._broker.state.router.virtual_hosts.get(virtual_host)
        return 0 if host is None else host.next_ordinal


def _destination(request: pb.ListBindingsRequest) -> Destination | None:
    """Where listed bindings lead; None: anywhere."""
    given = {field: getattr(request, field) for field in _KINDS if getattr(request, field)}
    for field, name in given.items():
        validate.short(field, name)
    if len(given) > 1:
        first, second, *_ = given
        raise invalid(second, f"cannot be set together with {first}; use one destination")
    return next((Destination(_KINDS[field], name) for field, name in given.items()), None)


def _binding(asked: message_pb2.Binding) -> Binding:
    kind = asked.WhichOneof("destination")
    if kind is None:
        raise invalid(
            "binding.destination", "is required: a message_queue, an exchange or a task_queue"
        )
    source = validate.short("binding.source", asked.source)
    name = validate.name(f"binding.{kind}", getattr(asked, kind))
    return Binding(
        validate.virtual_host(asked.virtual_host),
        source,
        Destination(_KINDS[kind], name),
        validate.short("binding.routing_key", asked.routing_key).encode(),
        validate.arguments("binding.arguments", asked.arguments),
    )


def named(virtual_host: str, name: str) -> str:
    """How the audit log names what is in a virtual host."""
    return name if virtual_host == DEFAULT_VIRTUAL_HOST else f"{virtual_host}/{name}"
