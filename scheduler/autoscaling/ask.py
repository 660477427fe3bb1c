"""What a trigger's metadata asks for, validated.

Every fault is INVALID_ARGUMENT and names the key, as `scalerMetadata.<key>`. An unknown key is a
fault too: a misspelt `maxNodes` would otherwise scale without a bound. Keys that KEDA itself reads
are let pass, and `<key>FromEnv` is what KEDA makes of a key that was resolved from the
environment of the scaled container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from quorate.runtime.errors import QuorateError, invalid
from scheduler.core.place_rules import ANY_TAINT, Taint
from scheduler.core.values import MAX_COUNTERS, MAX_CPU, MAX_LABELS, MAX_TAINTS

MAX_NODES: Final = 10_000
MAX_TASKS: Final = 1_000_000
MAX_SLOTS: Final = 1_024
MAX_MEMORY: Final = 1 << 50
MAX_SECONDS: Final = 30 * 86_400.0
MAX_PATTERNS: Final = 64
MAX_COUNTER: Final = 1_000_000
# Characters of one value, whatever it is.
MAX_VALUE: Final = 4_096

DEFAULT_MAX_NODES: Final = 100
DEFAULT_IDLE: Final = 60.0
MAX_LEAVING: Final = 600.0
# The readiness probe of k8s/base fails for the second time after 10 s at most, and is then seen.
DEFAULT_LEAVING: Final = 15.0

KEYS: Final = frozenset(
    "queues slotsPerNode tasksPerNode cpuPerNode memoryPerNode countersPerNode "
    "labelsPerNode taintsPerNode labels "
    "minNodes maxNodes oldestAge idleSeconds leavingSeconds".split()
)
# What KEDA's own external scaler takes from the same metadata.
KEDA_KEYS: Final = frozenset(
    {"scalerAddress", "enableTLS", "unsafeSsl", "tlsCertFile", "caCert", "metricType"}
)

_PATTERN: Final = re.compile(r"[a-z0-9._*-]{1,64}")
_MEMORY: Final = re.compile(r"(\d+)(|k|M|G|T|Ki|Mi|Gi|Ti)")
_UNITS: Final = {
    "": 1,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What a node offers: slots, cores, bytes, named counters (None: as much as is wanted); and by
    which labels and taints tasks choose it."""

    slots: int = 1
    cpu: float | None = None
    memory: int | None = None
    # Sorted; a counter that is not named is not there, as in placement.
    counters: tuple[tuple[str, int], ...] = ()
    # Sorted; those by which nodes are chosen for scaling are among them.
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """What one trigger asks for. Durations in seconds."""

    # Patterns over queue names, `*` standing for any characters.
    queues: tuple[str, ...] = ("*",)
    # What a node that is not there yet will offer.
    shape: Shape = Shape()
    # Tasks, running and waiting, for which one node is enough as long as none waits too long.
    tasks_per_node: int = 1
    min_nodes: int = 0
    max_nodes: int = DEFAULT_MAX_NODES
    # Past this wait of the oldest task every task is to have a slot. None: never.
    oldest_age: float | None = None
    idle_seconds: float = DEFAULT_IDLE
    # How long a node is marked before it is counted out. 0.0: none is marked.
    leaving_seconds: float = DEFAULT_LEAVING
    # Which nodes are the ones that are scaled; all without.
    labels: tuple[tuple[str, str], ...] = ()

    def takes(self, queue: str) -> bool:
        """Whether a queue's tasks count."""
        return any(_matches(pattern, queue) for pattern in self.queues)

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels is one of those that are scaled."""
        return all(labels.get(key) == value for key, value in self.labels)


def _matches(pattern: str, name: str) -> bool:
    """Whether `name` is what `pattern` says, `*` standing for any characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return False
    at = len(first)
    end = len(name) - len(last)
    for part in middle:
        # The leftmost place leaves the most room to those that follow.
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return name.endswith(last)


def parse(metadata: Mapping[str, str]) -> Ask:
    """Read a trigger's metadata.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the key and the limit.
    """
    given = _known(metadata)
    slots = _integer(given, "slotsPerNode", 1, 1, MAX_SLOTS)
    tasks = _integer(given, "tasksPerNode", slots, 1, MAX_TASKS)
    if tasks < slots:
        raise _error("tasksPerNode", f"{tasks} is less than slotsPerNode, {slots}", limit=slots)
    least = _integer(given, "minNodes", 0, 0, MAX_NODES)
    most = _integer(given, "maxNodes", max(DEFAULT_MAX_NODES, least), 1, MAX_NODES)
    if most < least:
        raise _error("maxNodes", f"{most} is less than minNodes, {least}", limit=least)
    idle = _number(given, "idleSeconds", 0.0, MAX_SECONDS)
    scaling_down = _number(given, "leavingSeconds", 0.0, MAX_LEAVING)
    return Ask(
        queues=_queues(given),
        shape=Shape(
            slots=slots,
            cpu=_number(given, "cpuPerNode", 0.001, MAX_CPU),
            memory=_memory(given),
            counters=_counters(given),
            labels=_labels_per_node(given),
            taints=_taints(given),
        ),
        tasks_per_node=tasks,
        min_nodes=least,
        max_nodes=most,
        oldest_age=_number(given, "oldestAge", 0.0, MAX_SECONDS),
        idle_seconds=DEFAULT_IDLE if idle is None else idle,
        leaving_seconds=DEFAULT_LEAVING if scaling_down is None else scaling_down,
        labels=_labels(given),
    )


def _error(key: str, message: str, limit: float | None = None) -> QuorateError:
    field = f"scalerMetadata.{key}"
    return invalid(field, message) if limit is None else invalid(field, message, limit=limit)


def _known(metadata: Mapping[str, str]) -> dict[str, str]:
    """The values of our keys, stripped; values that are empty count as not given."""
    given: dict[str, str] = {}
    # In order, so that the same metadata has the same fault.
    for name in sorted(metadata):
        key = name.removesuffix("FromEnv")
        if name in KEDA_KEYS or key in KEDA_KEYS:
            continue
        if key not in KEYS:
            raise _error(name[:64], f"is no key of this scaler; known: {', '.join(sorted(KEYS))}")
        value = metadata[name]
        if len(value) > MAX_VALUE:
            raise _error(key, f"longer than {MAX_VALUE} characters", limit=MAX_VALUE)
        if key in given:
            raise _error(key, "is given twice, also as FromEnv")
        if value.strip():
            given[key] = value.strip()
    return given


def _integer(given: Mapping[str, str], key: str, default: int, least: int, most: int) -> int:
    text = given.get(key)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
        raise _error(key, f"{text[:32]!r} is no whole number from {least} to {most}", limit=most)
    return int(text)


def _number(given: Mapping[str, str], key: str, least: float, most: float) -> float | None:
    text = given.get(key)
    if text is None:
        return None
    # Not float(): it takes nan, inf and 1_0.
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
        raise _error(key, f"{text[:32]!r} is no number from {least:g} to {most:g}", limit=most)
    return float(text)


def _memory(given: Mapping[str, str]) -> int | None:
    text = given.get("memoryPerNode")
    if text is None:
        return None
    found = _MEMORY.fullmatch(text)
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= size <= MAX_MEMORY:
        raise _error(
            "memoryPerNode",
            f"{text[:32]!r} is no size from 1 to {MAX_MEMORY} bytes, such as 4Gi",
            limit=MAX_MEMORY,
        )
    return size


def _queues(given: Mapping[str, str]) -> tuple[str, ...]:
    patterns = tuple(part.strip() for part in given.get("queues", "*").split(","))
    if len(patterns) > MAX_PATTERNS:
        raise _error("queues", f"more than {MAX_PATTERNS} patterns", limit=MAX_PATTERNS)
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise _error(
                "queues",
                f"{pattern[:80]!r} is no pattern of 1 to 64 of a-z, 0-9, '.', '_', '-' and '*'",
                limit=64,
            )
    return patterns


def _counters(given: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    found = []
    for name, text in _pairs(given, "countersPerNode", MAX_COUNTERS):
        if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > MAX_COUNTER:
            raise _error(
                "countersPerNode",
                f"{name[:64]!r}: {text[:32]!r} is no whole number from 0 to {MAX_COUNTER}",
                limit=MAX_COUNTER,
            )
        found.append((name, int(text)))
    return tuple(found)


def _labels(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return _pairs(given, "labels", MAX_LABELS)


def _labels_per_node(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Those that choose the nodes, and what else is said of new ones."""
    found = dict(_labels(given))
    for name, value in _pairs(given, "labelsPerNode", MAX_LABELS):
        if found.setdefault(name, value) != value:
            raise _error("labelsPerNode", f"{name[:80]!r} has another value in labels")
    return tuple(sorted(found.items()))


def _taints(given: Mapping[str, str]) -> tuple[Taint, ...]:
    """`dedicated=ml,repair`, sorted."""
    found = []
    for part in given["taintsPerNode"].split(",") if "taintsPerNode" in given else ():
        key, _, value = (piece.strip() for piece in part.partition("="))
        if not key or key == ANY_TAINT or (taint := Taint(key, value)) in found:
            raise _error(
                "taintsPerNode", f"{part.strip()[:80]!r} is not KEY or KEY=VALUE, each once"
            )
        found.append(taint)
    if len(found) > MAX_TAINTS:
        raise _error("taintsPerNode", f"more than {MAX_TAINTS} taints", limit=MAX_TAINTS)
    return tuple(sorted(found))


def _pairs(given: Mapping[str, str], key: str, most: int) -> tuple[tuple[str, str], ...]:
    """`a=1,b=2`, sorted by name."""
    found: dict[str, str] = {}
    for part in given[key].split(",") if key in given else ():
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or name in found:
            raise _error(key, f"{part.strip()[:80]!r} is not name=value, each name once")
        found[name] = value
    if len(found) > most:
        raise _error(key, f"more than {most} names", limit=most)
    return tuple(sorted(found.items()))
