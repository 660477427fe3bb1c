"""Which nodes may run a task, as users write it: `disk in ssd,nvme`, `!gpu`, `dedicated=ml`.

| rule | the node |
|---|---|
| `disk = ssd` | has the label with this value |
| `disk != hdd` | has not: another value, or no such label |
| `disk in ssd,nvme` | has the label with one of the values |
| `disk not in hdd,tape` | has none of the values |
| `gpu`, `gpu exists` | has the label |
| `!gpu`, `gpu !exists` | has not |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import placement_pb2, queue_pb2

_LABEL: Final = r"(?P<label>[^\s=!,()]+)"
_SET: Final = re.compile(rf"{_LABEL}\s+(?P<no>not\s+)?in\s+\(?(?P<values>[^()]*)\)?", re.IGNORECASE)
_EQUAL: Final = re.compile(rf"{_LABEL}\s*(?P<operator>==?|!=)\s*(?P<value>.*)")
_THERE: Final = re.compile(rf"{_LABEL}(?:\s+(?P<no>!|not\s+)?exists)?", re.IGNORECASE)
_AWAY: Final = re.compile(rf"!\s*{_LABEL}")
_IN: Final = placement_pb2.LABEL_OPERATOR_IN
_NOT_IN: Final = placement_pb2.LABEL_OPERATOR_NOT_IN
_EXISTS: Final = placement_pb2.LABEL_OPERATOR_EXISTS
_NOT_EXISTS: Final = placement_pb2.LABEL_OPERATOR_NOT_EXISTS
_FORMS: Final = "disk=ssd, disk!=hdd, 'disk in ssd,nvme', 'disk not in hdd', gpu or !gpu"
STRATEGIES: Final[Mapping[str, queue_pb2.PlacementStrategy]] = {
    "least-loaded": queue_pb2.PLACEMENT_STRATEGY_LEAST_LOADED,
    "round-robin": queue_pb2.PLACEMENT_STRATEGY_ROUND_ROBIN,
    "consistent-hash": queue_pb2.PLACEMENT_STRATEGY_CONSISTENT_HASH,
    "bin-pack": queue_pb2.PLACEMENT_STRATEGY_BIN_PACK,
    "spread": queue_pb2.PLACEMENT_STRATEGY_SPREAD,
    "random-of-two": queue_pb2.PLACEMENT_STRATEGY_RANDOM_OF_TWO,
}


def node_rule(option: str, text: str, *, preferred: bool = False) -> placement_pb2.NodeRule:
    """A rule about a label of nodes. Raises QuorateError naming the option."""
    rule = placement_pb2.NodeRule(preferred=preferred)
    text = checked_text(option, text).strip()
    if found := _SET.fullmatch(text):
        values = [value.strip() for value in found["values"].split(",")]
        rule.values.extend(filter(None, values))
        operator = _NOT_IN if found["no"] else _IN
    elif found := _AWAY.fullmatch(text):
        operator = _NOT_EXISTS
    elif found := _EQUAL.fullmatch(text):
        rule.values.append(found["value"])
        operator = _NOT_IN if found["operator"] == "!=" else _IN
    elif found := _THERE.fullmatch(text):
        operator = _NOT_EXISTS if found["no"] else _EXISTS
    else:
        raise invalid(option, f"{text!r} is not a rule such as {_FORMS}", value=text)
    rule.label = found["label"]
    rule.operator = operator
    return rule


def toleration(option: str, text: str) -> placement_pb2.Toleration:
    """`KEY` of taints of any value, `KEY=VALUE`, or `*` of all taints."""
    key, equals, value = checked_text(option, text).partition("=")
    found = placement_pb2.Toleration(key=key.strip())
    if equals:
        found.value = value.strip()
    return found


def taint(option: str, text: str) -> placement_pb2.Taint:
    """`KEY` or `KEY=VALUE`."""
    key, _, value = checked_text(option, text).partition("=")
    return placement_pb2.Taint(key=key.strip(), value=value.strip())


def words(option: str, given: object) -> tuple[str, ...]:
    """One text, or several. Raises QuorateError."""
    if isinstance(given, str):
        return (given,) if given else ()
    if not isinstance(given, Iterable):
        raise invalid(option, f"must be a text or a list of texts, not {given!r}")
    found = tuple(given)
    for word in found:
        if not isinstance(word, str):
            raise invalid(option, f"must be a text or a list of texts, not {given!r}")
    return found


def put(rules: placement_pb2.PlacementRules, options: Any) -> None:
    """Write what `TaskOptions` say of nodes. Raises QuorateError."""
    for option in ("where", "prefer"):
        rules.nodes.extend(
            node_rule(option, text, preferred=option == "prefer")
            for text in getattr(options, option)
        )
    rules.tolerations.extend(toleration("tolerate", text) for text in options.tolerate)
    for option, target in (("near", rules.near), ("apart", rules.apart)):
        for label, value in getattr(options, option).items():
            target.add(label=label, value=value)
    rules.distinct.extend(options.distinct)
    if options.placement:
        rules.strategy = STRATEGIES[options.placement]
    if options.spread:
        rules.strategy = queue_pb2.PLACEMENT_STRATEGY_SPREAD
        # `node` is the label that each node has alone.
        rules.spread = "" if options.spread == "node" else options.spread


def checked_placement(name: str) -> str:
    """The name of a strategy. Raises QuorateError."""
    if name and name not in STRATEGIES:
        raise invalid("placement", f"{name!r} is not one of {', '.join(STRATEGIES)}", value=name)
    return name
