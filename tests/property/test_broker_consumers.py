"""Random histories of consumers: publish, consume, settle, lose, come back, fail over.

What holds in each: no consumer has more than its prefetch; no message is with two clients at a time
that the leader waits for; nothing is lost; nothing is delivered after a confirmed acknowledgement;
messages of one ordering key are delivered one after another, in their order.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ConsumerNumber
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import CALLER, Client, Consumers, body_of

NAMES = ("one", "two", "three")
PREFETCH = 3
REATTACH = BrokerLimits().reattach_within
NUMBER = ConsumerNumber(1)
names = st.sampled_from(NAMES)


class History(RuleBasedStateMachine):
    """One queue, three sessions with a consumer each, leaders that fail."""

    @initialize(single=st.booleans(), keyed=st.booleans(), limit=st.sampled_from([0, 2]))
    def begin(self, single: bool, keyed: bool, limit: int) -> None:
        # As few writes a step as etcd allows by default.
        self.broker = Consumers(BrokerLimits(step_writes=42))
        self.broker.declare("q", single_active_consumer=single, delivery_limit=limit)
        self.keyed, self.limit = keyed, limit
        self.published: dict[str, None] = {}
        # Those whose acknowledgement is confirmed; those whose confirm is still to come.
        self.confirmed: dict[str, None] = {}
        self.asked: list[tuple[Client, int, list[str]]] = []
        self.clients = [self.broker.client(name) for name in NAMES]
        for client in self.clients:
            client.subscribe("q", prefetch=PREFETCH)
        self.connected = dict.fromkeys(NAMES, True)
        self.since = dict.fromkeys(NAMES, 0.0)
        self.seen = dict.fromkeys(NAMES, 0)
        self.pending: dict[str, list[fx.Delivery]] = {name: [] for name in NAMES}

    # -- what happens ------------------------------------------------------------------------------

    @rule(count=st.integers(1, 5), key=st.sampled_from(["a", "b"]))
    def publish(self, count: int, key: str) -> None:
        bodies = [f"{len(self.published) + n:05d}" for n in range(count)]
        self.published.update(dict.fromkeys(f"{key}{body}" for body in bodies))
        self.broker.put("q", *(f"{key}{body}" for body in bodies), key=key if self.keyed else "")

    @rule(name=names, some=st.integers(1, 3), lost=st.booleans())
    def acknowledge(self, name: str, some: int, lost: bool) -> None:
        client = self.of(name)
        ids = client.ids()[:some]
        if not ids or not self.connected[name]:
            return
        deliveries = [client.has[1][one] for one in ids]
        bodies = [body_of(one) for one in deliveries]
        self.broker.holding = lost
        number = client.ack(*ids)
        self.asked.append((client, number, bodies))
        if lost:
            # Its leader goes before that is committed; the client repeats it to the next one.
            self.pending[name] += deliveries
            self.broker.holding = False
            self.leader_fails()

    @rule(name=names, outcome=st.sampled_from([e.Outcome.NACK, e.Outcome.REQUEUE]))
    def give_back(self, name: str, outcome: e.Outcome) -> None:
        client = self.of(name)
        if client.ids() and self.connected[name]:
            client.settle(outcome, client.ids()[0])

    @rule(
        name=names,
        some=st.integers(1, 3),
        outcome=st.sampled_from([one for one in e.Outcome if one is not e.Outcome.TOUCH]),
        key=st.sampled_from(["a", "b"]),
    )
    def transact(self, name: str, some: int, outcome: e.Outcome, key: str) -> None:
        """Settle and publish in one commit."""
        client = self.of(name)
        ids = client.ids()[:some]
        if not ids or not self.connected[name]:
            return
        bodies = [body_of(client.has[1].pop(one)) for one in ids]
        if outcome in (e.Outcome.ACK, e.Outcome.REJECT):
            self.confirmed.update(dict.fromkeys(bodies))
        body = f"{key}{len(self.published):05d}"
        self.published[body] = None
        sent = publication(body.encode(), "q", ordering_key=key if self.keyed else "")
        settle = e.Settled(client.id, 0, NUMBER, "", ids, outcome)
        token = Waiting()
        self.broker.step(e.Transacted(HOST, [sent], client.id, [settle], token, CALLER))
        assert token.answer.results == ()

    @rule(name=names)
    def lose(self, name: str) -> None:
        if self.connected[name]:
            self.disconnected(name)
            self.of(name).lose()

    @rule(name=names)
    def come_back(self, name: str) -> None:
        client = self.of(name)
        if not self.connected[name]:
            self.connected[name] = True
            pending, self.pending[name] = self.pending[name], []
            client.has.setdefault(1, {}).update({one.id: one for one in pending})
            listed = client.ids()
            client.open(inventory=True)
            if self.broker.now - self.since[name] < REATTACH:
                # Nobody else got what it had.
                self.forget(client)
                assert set(listed) <= set(client.ids())
            if pending:
                number = client.ack(*[one.id for one in pending])
                self.asked.append((client, number, [body_of(one) for one in pending]))
                if number in client.refused:
                    # Others have them by now: they are delivered again.
                    self.asked.pop()
            # What the leader does not know as its own is not its own any more.
            self.forget(client)

    @rule(name=names)
    def end(self, name: str) -> None:
        """The process of a client ends; another one begins with another session."""
        client = self.of(name)
        if self.connected[name]:
            client.close()
        client.id = type(client.id)(f"{client.id}+")
        self.broker.clients[client.id] = client
        client.has, client.settled, self.pending[name] = {}, 0, []
        self.asked = [one for one in self.asked if one[0] is not client]
        client.open()
        client.subscribe("q", prefetch=PREFETCH)
        self.connected[name] = True

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.broker.pass_time(seconds)

    @rule()
    def leader_fails(self) -> None:
        self.broker.fail_over()
        for name in NAMES:
            self.disconnected(name)

    @rule()
    def bodies_leave_memory(self) -> None:
        self.broker.state.window.clear()

    # -- what holds --------------------------------------------------------------------------------

    def of(self, name: str) -> Client:
        return self.clients[NAMES.index(name)]

    def disconnected(self, name: str) -> None:
        if self.connected[name]:
            self.connected[name] = False
            self.since[name] = self.broker.now

    def forget(self, client: Client) -> None:
        session = self.broker.state.consuming.sessions.get(client.id)
        known = (
            session.consumers[NUMBER].unsettled if session and NUMBER in session.consumers else {}
        )
        client.has[1] = {n: d for n, d in client.has.get(1, {}).items() if n in known}

    @invariant()
    def holds(self) -> None:
        broker = self.broker
        for client, number, bodies in self.asked:
            if number in client.refused:
                continue
            if client.settled >= number:
                self.confirmed.update(dict.fromkeys(bodies))
        self.asked = [one for one in self.asked if one[0].settled < one[1]]
        held: dict[str, str] = {}
        for name, client in zip(NAMES, self.clients, strict=True):
            got = client.bodies()
            for body in got[self.seen[name] :]:
                assert body not in self.confirmed_before, f"{body} was acknowledged"
            self.seen[name] = len(got)
            if not self.connected[name]:
                continue
            assert len(client.ids()) <= PREFETCH
            for delivery in client.has.get(1, {}).values():
                body = body_of(delivery)
                assert body not in held, f"{body} is with {held.get(body)} and {name}"
                held[body] = name
        if self.keyed:
            for key in "ab":
                assert sum(body.startswith(key) for body in held) <= 1
        self.confirmed_before = dict(self.confirmed)
        check(broker)

    confirmed_before: dict[str, None]

    def __init__(self) -> None:
        super().__init__()
        self.confirmed_before = {}

    def teardown(self) -> None:
        """In the end all that is not done is delivered to somebody."""
        if not hasattr(self, "broker"):
            return
        broker = self.broker
        broker.pass_time(60)
        last = broker.client("last")
        for name in NAMES:
            client = self.of(name)
            if self.connected[name]:
                client.close()
        broker.pass_time(60)
        last.subscribe("q", prefetch=0)
        for _ in range(len(self.published) + 1):
            if last.ids():
                last.ack()
        done = {body for client in [*self.clients] for body in self.confirmed}
        asked = {body for _, _, bodies in self.asked for body in bodies}
        missing = set(self.published) - set(last.bodies()) - done - asked
        if not self.limit:
            assert not missing, sorted(missing)
        if self.keyed:
            for key in "ab":
                of_key = [body for body in last.bodies() if body.startswith(key)]
                assert of_key == sorted(of_key)
        queue = broker.state.queue("/", "q")
        assert (queue.ready, queue.unacknowledged) == (0, 0)
        assert broker.state.consuming.total.unsettled == 0


def check(broker: Consumers) -> None:
    """What the leader's own books have to say."""
    state = broker.state
    consuming = state.consuming
    total = 0
    for session in consuming.sessions.values():
        mine = sum(len(one.unsettled) for one in session.all_consumers())
        assert session.unsettled == mine
        total += mine
    assert consuming.total.unsettled == total
    for uid, served in consuming.served.items():
        queue = state.queues[uid]
        with_members = [one for member in served.members for one in member.unsettled]
        assert served.tally.unsettled == len(with_members) == len(set(with_members))
        assert all(queue.is_out(one) for one in with_members)
        assert queue.unacknowledged == len(with_members)


History.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHistory = History.TestCase
