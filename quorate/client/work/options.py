"""How a task is to be treated, as opposed to what it does.

One value, `TaskOptions`, is shared by `Client.options(...)`, `@quorate.task(...)` and
`quorate.Executor(...)`. It checks types and what no server could make sense of; bounds are the
scheduler's to check, so that there is one place for them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypedDict

from quorate.client.work import placing
from quorate.client.work.running.hooks import HookOption, put_hooks
from quorate.client.work.texts import checked_text, checked_texts, is_utf8
from quorate.runtime.errors import invalid
from quorate.telemetry.tracing import current_traceparent
from quorate.v1 import placement_pb2, task_pb2

Instant = dt.datetime | float
"""An aware datetime, or seconds since the Unix epoch."""


_HOOK_TIMES: Final = ("set_up_timeout", "clean_up_timeout")
_POSITIVE: Final = ("timeout", "start_deadline", "unique_for", *_HOOK_TIMES)


class OptionArgs(TypedDict, total=False):
    """The keyword arguments of `options()`; `TaskOptions` says what each means."""

    queue: str
    name: str
    priority: int
    retries: int
    backoff: float
    max_backoff: float
    fatal_errors: Sequence[str | type[BaseException]]
    crash_limit: int
    timeout: float | None
    delay: float
    not_before: Instant | None
    start_deadline: float | None
    labels: Mapping[str, str]
    cpu: float
    memory: int
    resources: Mapping[str, int]
    affinity_key: str
    where: str | Sequence[str]
    prefer: str | Sequence[str]
    tolerate: str | Sequence[str]
    near: Mapping[str, str]
    apart: Mapping[str, str]
    distinct: str | Sequence[str]
    spread: str
    placement: str
    limit_key: str
    limits: Sequence[str]
    fairness_key: str
    ordering_key: str
    unique_key: str
    unique_rejects: bool
    unique_replaces: bool
    unique_for: float | None
    secrets: Mapping[str, str]
    set_up: HookOption
    clean_up: HookOption
    set_up_timeout: float | None
    clean_up_timeout: float | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of a task; each has the cluster's default when left alone."""

    queue: str = "default"
    """Where it waits."""
    name: str = ""
    """For people; the function's or program's name when empty."""
    priority: int = 0
    """Higher goes first within the queue; -1,000 to 1,000."""
    retries: int = 0
    """How often it is tried again after a failure (0 to 999)."""
    backoff: float = 0.0
    """Seconds before the first retry (0: the cluster's default of 1 s); doubles each time."""
    max_backoff: float = 0.0
    """Longest wait between attempts in seconds (0: the cluster's default of 5 min)."""
    fatal_errors: Sequence[str | type[BaseException]] = ()
    """Exceptions (classes or qualified names) that are final at once."""
    crash_limit: int = 0
    """Nodes that may die under it before it is FAILED as poisonous (0: the default of 3)."""
    timeout: float | None = None
    """Longest run of one attempt in seconds; None: no limit."""
    delay: float = 0.0
    """Not started before so many seconds from now."""
    not_before: Instant | None = None
    """Not started before this instant; wins over `delay`."""
    start_deadline: float | None = None
    """EXPIRED unless it starts within so many seconds from when it may start first; None: no
    limit."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """For people and filters."""
    cpu: float = 0.0
    """Cores that one attempt needs."""
    memory: int = 0
    """Bytes that one attempt needs."""
    resources: Mapping[str, int] = field(default_factory=dict)
    """Named counters that one attempt needs, such as {"gpu": 1}."""
    affinity_key: str = ""
    """Tasks with the same key prefer the same node in a consistent-hash queue."""
    where: str | Sequence[str] = ()
    """Rules for labels of nodes, such as "disk in ssd,nvme", "zone=a" or "!gpu"; all must hold."""
    prefer: str | Sequence[str] = ()
    """As `where`, as long as such a node has room."""
    tolerate: str | Sequence[str] = ()
    """Taints of nodes on which it may run: "gpu", "dedicated=ml", "*" for all."""
    near: Mapping[str, str] = field(default_factory=dict)
    """Only on nodes that run a task with this label, such as {"app": "cache"}."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """Only on nodes that run no task with this label."""
    distinct: str | Sequence[str] = ()
    """Labels of its own: tasks that have the same value run on different nodes."""
    spread: str = ""
    """Spreads the tasks of the queue over "node", or over the values of a label such as "zone"."""
    placement: str = ""
    """The strategy in place of the queue's, such as "bin-pack"."""
    limit_key: str = ""
    """Tasks with the same key share the queue's limits for each key, such as a customer's name."""
    limits: Sequence[str] = ()
    """Names of shared limits that apply to it, such as ("licence",); each must exist."""
    fairness_key: str = ""
    """Tasks of each key get a fair share of the queue, such as a customer's name."""
    ordering_key: str = ""
    """Tasks of the queue with the same key run one after another, in the order of creation."""
    unique_key: str = ""
    """At most one unfinished task of the queue has it: submitting another one gives the handle of
    the task that is there. Not for `map` and other batches."""
    unique_rejects: bool = False
    """With `unique_key`: submitting another one is an error instead, ALREADY_EXISTS."""
    unique_replaces: bool = False
    """With `unique_key`: this task takes the place of one that is there. One that waits is
    cancelled; one that runs is cancelled too, and this one starts after its end."""
    unique_for: float | None = None
    """With `unique_key`: seconds from its creation for which a task that succeeded has the key; at
    least 1, at most 31 days. None: until it is finished."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Environment variables whose values the node has: {"DB_PASSWORD": "file:db/password"} for a
    file of its secrets directory, "env:NAME" for a variable that its agent allows."""
    set_up: HookOption = ()
    """Run before each attempt, in a process of its own: ["program", "argument"], a function of a
    module, or its name "module:function". If it fails, the attempt has failed."""
    clean_up: HookOption = ()
    """As `set_up`, after each attempt, however it ended: also after a timeout, a cancel or a crash.
    Its failure changes nothing."""
    set_up_timeout: float | None = None
    """Seconds; None: the cluster's default of 60 s."""
    clean_up_timeout: float | None = None
    """Seconds; None: the cluster's default of 60 s."""
    request_id: str = ""
    """Makes one submission repeatable, also by another process: the same id with the same work and
    options is the same task, with others an error. Remembered for 10 minutes, and as long as the
    tasks are. Empty: a new id for each submission."""

    def __post_init__(self) -> None:
        keys = ("affinity_key", "limit_key", "fairness_key", "ordering_key", "unique_key")
        for name in ("queue", "name", *keys, "spread", "placement", "request_id"):
            checked_text(name, getattr(self, name))
        checked_texts("labels", self.labels)
        for name in ("resources", "secrets"):
            for key in getattr(self, name):
                checked_text(name, key)
        object.__setattr__(self, "fatal_errors", _checked_errors(self.fatal_errors))
        object.__setattr__(self, "limits", _checked_limits(self.limits))
        for name in ("where", "prefer", "tolerate", "distinct"):
            object.__setattr__(self, name, placing.words(name, getattr(self, name)))
        checked_texts("near", self.near)
        checked_texts("apart", self.apart)
        placing.checked_placement(self.placement)
        if self._places:
            placing.put(placement_pb2.PlacementRules(), self)
        if self.unique_rejects and self.unique_replaces:
            raise invalid("unique_replaces", "and unique_rejects exclude each other")
        if not self.unique_key and (self.unique_replaces or self.unique_for is not None):
            raise invalid("unique_key", "is required with unique_replaces and unique_for")
        for name in (*_POSITIVE, "delay", "backoff", "max_backoff", "cpu"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value) or value < 0 or (name in _POSITIVE and value == 0):
                least = "more than 0" if name in _POSITIVE else "0 or more"
                raise invalid(name, f"{value!r} must be a finite number, {least}", value=value)
        for name, bits in (("priority", 31), ("retries", 30), ("crash_limit", 31), ("memory", 63)):
            value = getattr(self, name)
            # What the messages cannot hold; the cluster has narrower bounds.
            if abs(value) >= 2**bits:
                raise invalid(name, f"{value} is out of range", value=value)
        for name, value in self.resources.items():
            if abs(value) >= 2**63:
                raise invalid("resources", f"{name}={value} is out of range", value=value)
        if self.retries < 0:
            raise invalid("retries", f"{self.retries} must be 0 or more", value=self.retries)
        if isinstance(self.not_before, dt.datetime) and self.not_before.tzinfo is None:
            raise invalid("not_before", "a datetime must have a time zone")
        for name, reference in self.secrets.items():
            _secret(name, reference)

    def check_for_graph(self) -> None:
        """Refuse what a task of a graph cannot have. Raises QuorateError (INVALID_ARGUMENT)."""
        if self.unique_key and not (self.unique_rejects or self.unique_replaces):
            raise invalid(
                "unique_key",
                f"{self.unique_key[:80]!r} needs unique_rejects or unique_replaces in a graph: a "
                "task that is there already cannot be one of the graph",
            )

    def but(self, changes: OptionArgs) -> TaskOptions:
        """These options with some changed. A misspelt name is a TypeError."""
        known = [one.name for one in fields(self)]
        for name in changes:
            if name not in known:
                raise TypeError(f"no option is called {name!r}; there are {', '.join(known)}")
        return replace(self, **changes)

    def apply(self, spec: task_pb2.TaskSpec, *, now: float) -> None:
        """Write the options into a spec; `delay` counts from `now` (seconds since the epoch)."""
        if self.name:
            spec.name = self.name
        if self.labels:
            spec.labels.update(self.labels)
        spec.priority = self.priority
        if (
            self.retries
            or self.backoff
            or self.max_backoff
            or self.fatal_errors
            or self.crash_limit
        ):
            self._apply_retry(spec.retry)
        if self.timeout is not None:
            set_seconds("timeout", spec.timeout, self.timeout)
        if self.start_deadline is not None:
            set_seconds("start_deadline", spec.start_deadline, self.start_deadline)
        start = self._start(now)
        if start is not None:
            name = "delay" if self.not_before is None else "not_before"
            set_seconds(name, spec.not_before, start)
        if self.cpu or self.memory or self.resources:
            spec.resources.cpu = self.cpu
            spec.resources.memory = self.memory
            spec.resources.counters.update(self.resources)
        if self._places:
            placing.put(spec.placement, self)
        if self.affinity_key:
            spec.affinity_key = self.affinity_key
        if self.limit_key:
            spec.limit_key = self.limit_key
        if self.unique_key:
            spec.unique.key = self.unique_key
            if self.unique_rejects:
                spec.unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REJECT
            if self.unique_replaces:
                spec.unique.on_conflict = task_pb2.UNIQUE_CONFLICT_REPLACE
            if self.unique_for is not None:
                set_seconds("unique_for", spec.unique.window, self.unique_for)
        if self.ordering_key:
            spec.ordering_key = self.ordering_key
        if self.fairness_key:
            spec.fairness_key = self.fairness_key
        if self.limits:
            spec.limits.extend(self.limits)
        if self.secrets:
            work = spec.command if spec.WhichOneof("work") == "command" else spec.python
            for name, reference in self.secrets.items():
                work.secrets[name].CopyFrom(_secret(name, reference))
        put_hooks(spec, self.set_up, self.set_up_timeout, self.clean_up, self.clean_up_timeout)
        # The task belongs to the span in which it is made, where there is one.
        if trace := current_traceparent():
            spec.trace_context = trace

    @property
    def _places(self) -> bool:
        """Whether it says anything of nodes."""
        rules = (self.where, self.prefer, self.tolerate, self.near, self.apart, self.distinct)
        return any(rules) or bool(self.spread or self.placement)

    def _apply_retry(self, retry: task_pb2.RetryPolicy) -> None:
        retry.max_attempts = self.retries + 1
        if self.backoff:
            set_seconds("backoff", retry.initial_backoff, self.backoff)
        if self.max_backoff:
            set_seconds("max_backoff", retry.max_backoff, self.max_backoff)
        retry.fatal_errors.extend(_error_name(error) for error in self.fatal_errors)
        retry.crash_limit = self.crash_limit

    def _start(self, now: float) -> float | None:
        if isinstance(self.not_before, dt.datetime):
            return self.not_before.timestamp()
        if self.not_before is not None:
            return float(self.not_before)
        return now + self.delay if self.delay else None


def _secret(name: str, reference: str) -> task_pb2.SecretRef:
    source, _, text = reference.partition(":")
    if source not in ("env", "file") or not text or not is_utf8(reference):
        # Not what was given: it may be the value itself, by mistake.
        raise invalid("secrets", f"{name}: must be file:NAME or env:NAME, not the secret itself")
    return task_pb2.SecretRef(**{source: text})


def _checked_errors(errors: Iterable[Any]) -> tuple[str | type[BaseException], ...]:
    """Of any iterable, also one that can be read only once."""
    if isinstance(errors, (str, type)) or not isinstance(errors, Iterable):
        raise invalid("fatal_errors", f"must be a list of exceptions, not {errors!r}")
    checked = tuple(errors)
    for error in checked:
        if isinstance(error, str):
            checked_text("fatal_errors", error)
        elif not (isinstance(error, type) and issubclass(error, BaseException)):
            raise invalid("fatal_errors", f"{error!r} is neither an exception class nor its name")
    return checked


def _checked_limits(limits: Iterable[Any]) -> tuple[str, ...]:
    """Of any iterable but a text, which would be a limit for each letter."""
    if isinstance(limits, str) or not isinstance(limits, Iterable):
        raise invalid("limits", f"must be a list of names of limits, not {limits!r}")
    checked = tuple(limits)
    for name in checked:
        if not isinstance(name, str):
            raise invalid("limits", f"must be a list of names of limits, not {limits!r}")
        checked_text("limits", name)
    return checked


def _error_name(error: str | type[BaseException]) -> str:
    """The name that `TaskError.type` will have for it."""
    if isinstance(error, str):
        return error
    if error.__module__ == "builtins":
        return error.__qualname__
    return f"{error.__module__}.{error.__qualname__}"


def set_seconds(name: str, message: Any, seconds: float) -> None:
    """Fill a Duration or Timestamp; beyond what int64 seconds hold is the caller's mistake."""
    if not abs(seconds) <= 10**11:
        raise invalid(name, f"{seconds!r} seconds is out of range", value=seconds)
    whole = math.floor(seconds)
    message.seconds = whole
    message.nanos = min(999_999_999, round((seconds - whole) * 1e9))
