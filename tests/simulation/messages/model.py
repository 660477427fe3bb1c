"""What becomes of each message, by the documentation: https://www.rabbitmq.com/docs/dlx

A publication goes to some queues: a `Copy` in each. A copy that dies goes on to the one queue that
its queue names for dead letters; all that happened to it stands in its `x-death`. What a consumer
gets is compared with what is known of the copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import HeaderValue, MessageProperties
from scheduler.core.broker.rows import QueueType
from tests.property.test_routing_topics import matches, words

if TYPE_CHECKING:
    from tests.simulation.messages.clients import Client

# Seconds: the parts of one that the clocks of leaders and `x-death` do not show.
_SLACK: Final = 1.0
# Instants are kept as whole microseconds.
EXACT: Final = 1e-5


class Kind(NamedTuple):
    """A message queue of these histories.

    `dead_to`: where its dead letters go, through which exchange and with which key (None: their
    own).
    """

    spec: Mapping[str, Any] = {}
    dead_to: str = ""
    exchange: str = ""
    key: str | None = None

    @property
    def declared(self) -> dict[str, Any]:
        """The fields of its `MessageQueueSpec`."""
        if not self.dead_to:
            return dict(self.spec)
        letters = {"dead_letter_exchange": self.exchange, "dead_letter_routing_key": self.key}
        return {"delivery_limit": 0, **letters, **self.spec}

    @property
    def ttl(self) -> float:
        return float(self.spec.get("message_ttl", inf))


KINDS: Final[Mapping[str, Kind]] = {
    "plain": Kind(),
    # What is rejected comes back after a while.
    "work": Kind({}, "retry", "", "retry"),
    "retry": Kind({"message_ttl": 5.0}, "work", "", "work"),
    "letters": Kind({"message_ttl": 20.0}, "dead", "letters of the dead"),
    "bounded": Kind({"max_length": 6}, "dead", "", "dead"),
    "poison": Kind({"delivery_limit": 1}, "dead", "", "dead"),
    "ranked": Kind({"max_priority": 3}),
    # It is deleted and made again.
    "extra": Kind(),
    "log": Kind({"type": QueueType.STREAM}),
    "dead": Kind(),
}
DEAD_LETTERS: Final = KINDS["letters"].exchange
ROOTS: Final = [name for name in KINDS if name not in ("retry", "dead")]
# Messages are in the order of their producer.
ORDERED: Final = ("plain", "letters", "bounded", "poison", "extra", "log")


class Binding(NamedTuple):
    source: str
    queue: str
    key: str


class Death(NamedTuple):
    """An entry of `x-death`."""

    queue: str
    reason: str
    times: int


@dataclass(slots=True)
class Sent:
    """A publication. `since`: when it was sent first; `until`: when it was confirmed."""

    number: int
    exchange: str
    key: str
    since: float
    expiration: float = inf
    delay: float = 0.0
    ordered: bool = True
    until: float = inf


@dataclass(slots=True)
class Copy:
    """A publication in one of its queues, and where it went from there.

    Attributes:
        place: where it was seen last; deaths: what brought it there, the oldest first.
        acked: its acknowledgement is confirmed.
        unsure: settlements of it that nobody confirmed: it may be gone.
        shared: two clients had it, as may be when one came back too late.
        excused: it may be gone: purged, or deleted with its queue.
        displaced: it was given back, so that others may come before it; postponed: with a delay.
        holder: client, queue and delivery id of who has it.
        asked, rejected: by place: how often that was asked for, and confirmed.
    """

    sent: Sent
    root: str
    place: str
    deaths: list[tuple[str, str]] = field(default_factory=list)
    acked: bool = False
    unsure: int = 0
    shared: bool = False
    excused: bool = False
    gone: bool = False
    displaced: bool = False
    postponed: bool = False
    holder: tuple[Client, str, int] | None = None
    asked: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def life(self) -> float:
        """Seconds that it may stay in its first queue, whose own time begins when it is due."""
        return min(self.sent.expiration, self.sent.delay + KINDS[self.root].ttl)

    @property
    def is_in_order(self) -> bool:
        """Whether it comes in the order of its producer."""
        return self.sent.ordered and not self.sent.delay and not self.displaced

    def on_delivered(self, place: str, payload: bytes, now: float) -> None:
        """A consumer gets it."""
        who = f"{self.sent.number} of {self.root}, in {place}"
        assert not self.gone, f"{who}: its queue was deleted"
        assert self.shared or not self.acked, f"{who}: it was acknowledged"
        self._die(place, payload, now, who)
        if self.deaths:
            return
        assert now >= self.sent.since + self.sent.delay - EXACT, f"{who}: too early"
        if not (self.postponed or self.sent.delay) and self.sent.until != inf:
            assert now < self.sent.until + self.life + EXACT, f"{who}: it has expired"

    def _die(self, place: str, payload: bytes, now: float, who: str) -> None:
        """Take from `x-death` what happened since it was seen last."""
        envelope = MessageEnvelope.FromString(payload)
        properties = MessageProperties.FromString(envelope.properties)
        entries = deaths_of(properties)
        found = [death_of(one) for one in entries]
        left = Counter({(one.queue, one.reason): one.times for one in found})
        left.subtract(Counter(self.deaths))
        assert min(left.values(), default=0) >= 0, f"{who}: {found} forgets {self.deaths}"
        at = self.place
        while left := +left:
            step = next((one for one in left if one[0] == at), None)
            assert step is not None, f"{who}: {found} after {self.deaths}, {self.place}"
            left[step] -= 1
            self.deaths.append(step)
            self._check_reason(*step, now, who)
            at = KINDS[at].dead_to
        assert at == place, f"{who}: it was to be in {at}, by {found}"
        self.place = place
        assert found == folded(self.deaths), f"{who}: {found} is not {self.deaths}"
        if not self.shared:
            for queue, count in self.rejected.items():
                done = self.deaths.count((queue, "rejected"))
                assert count <= done <= self.asked[queue], f"{who}: rejected {done} times"
        if found:
            self._check_entries(entries, properties, now, who)

    def _check_reason(self, queue: str, reason: str, now: float, who: str) -> None:
        kind = KINDS[queue]
        match reason:
            case "rejected":
                assert self.asked[queue], f"{who}: nobody rejected it"
            case "maxlen":
                assert kind.spec.get("max_length"), f"{who}: {queue} has room"
            case "delivery_limit":
                assert kind.spec.get("delivery_limit"), f"{who}: {queue} has no limit"
            case "expired":
                life = kind.ttl if len(self.deaths) > 1 else self.life
                assert now >= self.sent.since + life - EXACT, f"{who}: it died too early"
            case _:
                raise AssertionError(f"{who}: {reason}")

    def _check_entries(
        self, entries: Sequence[HeaderValue], properties: MessageProperties, now: float, who: str
    ) -> None:
        headers = properties.headers
        for end, (queue, reason) in (("first", self.deaths[0]), ("last", self.deaths[-1])):
            assert headers[f"x-{end}-death-queue"].text == queue, who
            assert headers[f"x-{end}-death-reason"].text == reason, who
        assert not properties.HasField("expiration"), f"{who}: it would expire again"
        first_to_last = {one: self.deaths.index(one) for one in self.deaths}
        for entry in entries:
            fields = entry.table.entries
            queue, reason, _ = death_of(entry)
            place = first_to_last[queue, reason]
            exchange, key = self._arrival(place)
            assert fields["exchange"].text == exchange, who
            assert [one.text for one in fields["routing-keys"].list.values] == [key], who
            died = fields["time"].timestamp.seconds
            assert self.sent.since - _SLACK <= died <= now, who
            had_expiration = place == 0 and self.sent.expiration != inf
            assert ("original-expiration" in fields) == had_expiration, who
            if had_expiration:
                millis = f"{self.sent.expiration * 1_000:.0f}"
                assert fields["original-expiration"].text == millis, who

    def _arrival(self, death: int) -> tuple[str, str]:
        """Exchange and key with which it came to the queue of a death."""
        exchange, key = self.sent.exchange, self.sent.key
        for queue, _ in self.deaths[:death]:
            kind = KINDS[queue]
            exchange, key = kind.exchange, key if kind.key is None else kind.key
        return exchange, key

    def may_be_gone(self, now: float) -> bool:
        """Whether it need not be anywhere."""
        if self.acked or self.unsure or self.excused or self.gone:
            return True
        if KINDS[self.place].dead_to:
            return False
        # Without an exchange for dead letters, what is rejected or expires is just gone.
        expires = not self.deaths and now >= self.sent.since + self.life
        return expires or bool(self.rejected[self.place])


def folded(deaths: Sequence[tuple[str, str]]) -> list[Death]:
    """The entries of `x-death`: one for each queue and reason, the newest first."""
    counts = Counter(deaths)
    return [Death(*one, counts[one]) for one in dict.fromkeys(reversed(deaths))]


def deaths_of(properties: MessageProperties) -> list[HeaderValue]:
    if "x-death" not in properties.headers:
        return []
    return list(properties.headers["x-death"].list.values)


def death_of(entry: HeaderValue) -> Death:
    fields = entry.table.entries
    return Death(fields["queue"].text, fields["reason"].text, fields["count"].integer)


def root_of(payload: bytes, place: str) -> tuple[int, str]:
    """Number and first queue of what was found in a queue."""
    envelope = MessageEnvelope.FromString(payload)
    headers = MessageProperties.FromString(envelope.properties).headers
    name = "x-first-death-queue"
    return int(envelope.body), headers[name].text if name in headers else place


class Model:
    """All copies, exchanges and bindings."""

    def __init__(self) -> None:
        self.copies: dict[tuple[int, str], Copy] = {}
        # Name -> type.
        self.exchanges: dict[str, str] = {}
        self.bindings: set[Binding] = set()
        self.queues: set[str] = set()

    def routes(self, exchange: str, key: str) -> list[str]:
        """The queues that a message goes to."""
        if not exchange:
            return [key] if key in self.queues else []
        hits = {
            one.queue
            for one in self.bindings
            if one.source == exchange and self._fits(self.exchanges[exchange], one.key, key)
        }
        return sorted(hits & self.queues)

    @staticmethod
    def _fits(type_: str, pattern: str, key: str) -> bool:
        match type_:
            case "fanout":
                return True
            case "direct":
                return pattern == key
            case _:
                return matches(words(pattern), words(key))

    def publish(self, sent: Sent) -> None:
        for name in self.routes(sent.exchange, sent.key):
            self.copies[sent.number, name] = Copy(sent, name, name)

    def find(self, payload: bytes, place: str) -> Copy:
        number, root = root_of(payload, place)
        assert (number, root) in self.copies, f"{number} was never published to {root}"
        return self.copies[number, root]
