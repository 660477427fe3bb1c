"""Whole topologies against a model that looks at every binding, one message after another.

Random exchanges of all types, bindings, alternates, policies and deletions. After each step some
messages are routed by the router, by a standby that folded the rows that each call returned, by one
that loaded the rows in another order, and by the model.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.routing.fields import Value, comparable, lookup
from scheduler.core.broker.routing.matchers.trie import words_of
from scheduler.core.broker.routing.router import Router
from scheduler.core.broker.routing.rows import (
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
    Message,
    Removed,
)
from scheduler.core.broker.routing.virtual_host import VirtualHost
from tests.property.test_routing_topics import matches
from tests.support.routing import HOST, VOID, exchange, int64, queue, string, strings

NAMES = [f"x{number}" for number in range(6)]
QUEUES = [f"q{number}" for number in range(5)]
KEYS = ["", "a", "b", "a.b", "a.a.b", ".", "q1", "q2"]
PATTERNS = [*KEYS, "#", "*", "a.#", "#.b", "*.*", "#.a.#"]
VALUES = [int64(1), int64(2), string("1"), VOID]
TYPES = [one for one in ExchangeType if one is not ExchangeType.CONSISTENT_HASH]
EXPECTED = (
    *("EXCHANGE_DIFFERS", "EXCHANGE_NOT_FOUND", "MESSAGE_QUEUE_NOT_FOUND"),
    *("RESERVED_EXCHANGE", "EXCHANGE_IN_USE"),
)


def read(value: Value) -> str:
    assert isinstance(value.scalar, bytes)
    return value.scalar.decode()


class Model:
    """Rows, and the definition of a route."""

    def __init__(self) -> None:
        self.exchanges: dict[str, Exchange] = {}
        self.bindings: list[Binding] = []
        self.queues: set[str] = set()

    def route(self, start: str, message: Message, keys: list[bytes]) -> tuple[str, ...]:
        visited, level = {start}, [start]
        queues: set[str] = set()
        while level:
            following: list[str] = []
            for name in level:
                rows = [row for row in self.bindings if row.source == name]
                row = self.exchanges.get(name)
                hits = [one.destination for one in self._choose(row, rows, message, keys)]
                if name == "":
                    hits = [queue(key.decode()) for key in keys if key.decode() in self.queues]
                queues.update(one.name for one in hits if one.kind is DestinationKind.QUEUE)
                following += [one.name for one in hits if one.kind is DestinationKind.EXCHANGE]
                if not hits and row is not None:
                    value = lookup(row.arguments, "alternate-exchange")
                    other = row.policy_alternate if value is None else read(value)
                    following += [] if other is None else [other]
            known = {"", *self.exchanges}
            level = [name for name in dict.fromkeys(following) if name in known - visited]
            visited.update(level)
        return tuple(sorted(queues))

    def _choose(
        self, row: Exchange | None, rows: list[Binding], message: Message, keys: list[bytes]
    ) -> list[Binding]:
        match row.type if row else None:
            case ExchangeType.DIRECT:
                return [one for one in rows if one.key in keys]
            case ExchangeType.FANOUT:
                return rows
            case ExchangeType.TOPIC:
                split = [[word.decode() for word in words_of(key)] for key in keys]
                return [
                    one
                    for one in rows
                    if any(
                        matches([word.decode() for word in words_of(one.key)], key) for key in split
                    )
                ]
            case ExchangeType.HEADERS:
                return [one for one in rows if self._headers(one, message)]
            case _:
                return []

    @staticmethod
    def _headers(row: Binding, message: Message) -> bool:
        mode = lookup(row.arguments, "x-match")
        how = "all" if mode is None else read(mode)
        results = []
        for name, value in row.arguments:
            if name == "x-match" or (name.startswith("x-") and not how.endswith("x")):
                continue
            header = message.headers.get(name)
            results.append(
                header is not None and (value == VOID or comparable(header) == comparable(value))
            )
        return any(results) if how.startswith("any") else all(results)

    def removed(self, removed: Removed) -> None:
        gone = {row.id for row in removed.bindings}
        self.bindings = [row for row in self.bindings if row.id not in gone]
        for row in removed.exchanges:
            del self.exchanges[row.name]


class World:
    """The router, what follows it, and the model."""

    def __init__(self, rng: random.Random, *, hashing: bool) -> None:
        self.random = rng
        # Where a hash leads, the model does not know.
        self.hashing = hashing
        # Auto-delete exchanges that something was bound to.
        self.used: set[str] = set()
        self.router = Router()
        self.router.create_virtual_host(HOST)
        self.standby = Router()
        self.standby.create_virtual_host(HOST)
        self.model = Model()
        for name, state in self.router.virtual_hosts[HOST].exchanges.items():
            if name:
                self.model.exchanges[name] = state.row
        self.names = [*NAMES, *self.model.exchanges]

    @property
    def follower(self) -> VirtualHost:
        return self.standby.virtual_hosts[HOST]

    def step(self) -> None:
        choice = self.random.choices(
            [self.declare, self.bind, self.unbind, self.add_queue, self.remove, self.policy],
            [4, 10, 2, 2, 1, 1],
        )[0]
        try:
            choice()
        except QuorateError as error:
            if error.reason not in EXPECTED:
                raise

    def declare(self) -> None:
        rng = self.random
        alternate = rng.choice(["", *self.names, *[None] * 10])
        arguments = () if alternate is None else (("alternate-exchange", string(alternate)),)
        row = Exchange(
            HOST,
            rng.choice(NAMES),
            rng.choice([*TYPES, ExchangeType.CONSISTENT_HASH] if self.hashing else TYPES),
            auto_delete=rng.random() < 0.3,
            internal=rng.random() < 0.2,
            arguments=arguments,
        )
        made = self.router.declare(row)
        if made is not None:
            self.follower.put_exchange(made)
            self.model.exchanges[made.name] = made
            self.used.discard(made.name)

    def policy(self) -> None:
        name, alternate = self.random.choice(NAMES), self.random.choice([None, *self.names])
        row = self.router.apply_policy(HOST, name, alternate)
        if row is not None:
            self.follower.put_exchange(row)
            self.model.exchanges[row.name] = row

    def bind(self) -> None:
        rng = self.random
        source = rng.choice(list(self.model.exchanges))
        type_ = self.model.exchanges[source].type
        to = rng.choice([*map(queue, QUEUES * 2), *map(exchange, self.names)])
        arguments: tuple[tuple[str, Value], ...] = ()
        key = rng.choice(PATTERNS).encode()
        if type_ is ExchangeType.CONSISTENT_HASH:
            key = b"%d" % rng.randint(1, 3)
        if type_ is ExchangeType.HEADERS:
            names = rng.sample(["h", "i", "x-j"], rng.randint(0, 3))
            arguments = tuple((name, rng.choice(VALUES)) for name in names)
            mode = rng.choice(["all", "any", "all-with-x", "any-with-x", None])
            if mode is not None:
                arguments += (("x-match", string(mode)),)
        row = self.router.bind(HOST, source, to, key, arguments)
        if row is not None:
            self.follower.put_binding(row)
            self.model.bindings.append(row)
            self.used.add(row.source)

    def unbind(self) -> None:
        if self.model.bindings:
            row = self.random.choice(self.model.bindings)
            self.removed(
                self.router.unbind(HOST, row.source, row.destination, row.key, row.arguments)
            )

    def add_queue(self) -> None:
        name = self.random.choice(QUEUES)
        self.router.add_queue(HOST, name)
        self.follower.put_queue(name)
        self.model.queues.add(name)

    def remove(self) -> None:
        if self.random.random() < 0.5:
            name = self.random.choice(QUEUES)
            self.removed(self.router.remove_queue(HOST, name))
            self.follower.drop_queue(name)
            self.model.queues.discard(name)
        else:
            name, unused = self.random.choice(self.names), self.random.random() < 0.5
            self.removed(self.router.delete_exchange(HOST, name, if_unused=unused))

    def removed(self, removed: Removed) -> None:
        for row in removed.bindings:
            assert self.follower.drop_binding(row.id) == row
        for exchange_row in removed.exchanges:
            self.follower.drop_exchange(exchange_row.name)
        self.model.removed(removed)

    def loaded(self) -> Router:
        """One that reads the rows in an order of its own."""
        router = Router()
        router.create_virtual_host(HOST)
        host = router.virtual_hosts[HOST]
        for name in sorted(self.model.queues):
            host.put_queue(name)
        exchanges = list(self.model.exchanges.values())
        self.random.shuffle(exchanges)
        for exchange_row in exchanges:
            host.put_exchange(exchange_row)
        bindings = list(self.model.bindings)
        self.random.shuffle(bindings)
        for binding in bindings:
            host.put_binding(binding)
        return router

    def check(self) -> None:
        rng = self.random
        loaded = self.loaded()
        for name in ["", *self.model.exchanges]:
            keys = rng.sample(KEYS, rng.randint(1, 3))
            headers = {
                header: rng.choice(VALUES)
                for header in rng.sample(["h", "i", "x-j"], rng.randint(0, 3))
            }
            if len(keys) > 1:
                headers[rng.choice(["CC", "BCC"])] = strings(*keys[1:])
            message = Message(keys[0].encode(), headers)
            if name and self.model.exchanges[name].internal:
                with pytest.raises(QuorateError):
                    self.router.route(HOST, name, message)
                continue
            route = self.router.route(HOST, name, message, mandatory=True)
            assert route.returned is (not route.queues)
            assert self.standby.route(HOST, name, message, mandatory=True) == route
            assert loaded.route(HOST, name, message, mandatory=True) == route
            if not self.hashing:
                encoded = [key.encode() for key in keys]
                assert route.queues == self.model.route(name, message, encoded)

    def check_tidy(self) -> None:
        """Nothing refers to what is gone, and no auto-delete exchange has outlived its bindings."""
        host = self.router.virtual_hosts[HOST]
        assert {name for name in host.exchanges if name} == set(self.model.exchanges)
        assert set(host.queues) == self.model.queues
        assert {row.id for row in host.bindings.values()} == {row.id for row in self.model.bindings}
        for row in host.bindings.values():
            assert row.source in host.exchanges
            known = {
                DestinationKind.QUEUE: host.queues,
                DestinationKind.EXCHANGE: host.exchanges,
            }
            assert row.destination.name in known[row.destination.kind]
            assert row in host.bindings_from(row.source)
            assert row in host.bindings_to(Destination(*row.destination))
        for name in self.used & set(host.exchanges):
            assert host.is_source(name) or not host.exchanges[name].row.auto_delete


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.sampled_from([False, False, True]))
def test_random_topologies_route_as_the_model_does(rng: random.Random, hashing: bool) -> None:
    world = World(rng, hashing=hashing)
    for number in range(60):
        world.step()
        if number % 6 == 5:
            world.check()
    world.check_tidy()
