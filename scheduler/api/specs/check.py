"""The bounds of a task's spec, on which the families that create tasks agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from quorate.blobs.names import is_well_formed
from quorate.runtime.errors import invalid, precondition
from quorate.v1 import task_pb2
from scheduler.api.specs import placement
from scheduler.api.specs.hooks import hooks
from scheduler.api.validate import (
    DAY,
    MAX_AHEAD,
    MAX_LABEL,
    NAME,
    NANOS,
    at_most,
    between,
    duration,
    known_enum,
    required,
)
from scheduler.core.values import MAX_COUNTERS, MAX_CPU, MAX_LABELS, TaskSpec
from scheduler.engine.long_work.json_steps import shape
from scheduler.storage.records import blob_of_message, seconds, task_spec

_DOTTED: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
ENTRYPOINT: Final = re.compile(f"{_DOTTED}:{_DOTTED}")
# W3C Trace Context, version 00: trace id, span id, flags.
TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# A variable of a secret; the file of one, which no part of leaves its directory.
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_FILE: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]+(?:/(?!\.)[A-Za-z0-9._-]+)*")

# How a cluster gets a blob store.
STORE_ADVICE = (
    "set --blob-url on its schedulers and nodes to let it have larger values (docs/large-values.md)"
)
# Characters of JSON arguments that are parsed in one go.
LARGE_JSON = 16 << 10
MAX_TIMEOUT = 30 * DAY
MAX_PRIORITY = 1_000
MAX_ARGV = 1_024
MAX_SECRETS = 16
MAX_SECRET_NAME = 128
MAX_SECRET_REF = 255
MAX_NAME = 128
MAX_AFFINITY = 256
# Seconds: the longest window of a unique key.
MAX_WINDOW = 31 * 86_400.0
MAX_SHARED = 16
MAX_ATTEMPTS = 1_000
MAX_CRASHES = 100
MAX_FATAL = 64


def serialize(spec: task_pb2.TaskSpec) -> bytes:
    """The bytes of a spec, the same for equal ones."""
    return spec.SerializeToString(deterministic=True)


class SpecCheck:
    """Validates specs against one cluster's bounds.

    Args:
        max_payload: bytes of a spec.
        max_blob: bytes of a payload in the blob store; 0: there is none.
    """

    def __init__(self, max_payload: int = 256 << 10, max_blob: int = 0) -> None:
        self.max_payload = max_payload
        self.max_blob = max_blob

    def spec(self, spec: task_pb2.TaskSpec, field: str, now: float) -> TaskSpec:
        """What the core needs of a valid spec.

        Args:
            field: its name in the request, for the error ("spec", "specs[3]").
            now: seconds since the epoch, to bound `not_before`.

        Raises:
            QuorateError: INVALID_ARGUMENT naming the field and the limit.
        """
        return self.serialized(spec, serialize(spec), field, now)

    def serialized(self, spec: task_pb2.TaskSpec, data: bytes, field: str, now: float) -> TaskSpec:
        """As `spec`; `data` is `serialize(spec)`."""
        # The size first: nothing is looked into that is too large to be looked into at once.
        if len(data) > self.max_payload:
            raise invalid(
                field,
                f"{len(data)} bytes; at most {self.max_payload} are allowed{self._large_advice}",
                reason="PAYLOAD_TOO_LARGE",
                limit=self.max_payload,
                value=len(data),
            )
        if spec.HasField("schedule"):
            raise invalid(f"{field}.schedule", "is set by the cluster; leave it out")
        if spec.HasField("message"):
            raise invalid(f"{field}.message", "is set by the cluster; leave it out")
        work = spec.WhichOneof("work")
        if work == "python":
            _python(spec.python, field, large=spec.HasField("payload_blob"))
        elif work == "command":
            _command(spec.command, f"{field}.command")
        else:
            raise invalid(f"{field}.work", "is required: set command or python")
        if spec.HasField("hooks"):
            hooks(spec.hooks, ENTRYPOINT, f"{field}.hooks")
        if spec.HasField("payload_blob"):
            self._blob(spec, f"{field}.payload_blob")
        _options(spec, field, now)
        return task_spec(spec, data)

    @property
    def _large_advice(self) -> str:
        if self.max_blob:
            return (
                "; the SDK of this version and the command line put larger arguments into the "
                "cluster's blob store"
            )
        return f" without a blob store; {STORE_ADVICE}"

    def _blob(self, spec: task_pb2.TaskSpec, field: str) -> None:
        """Whether it may be named is for the core to decide: it depends on what is on record."""
        if not self.max_blob:
            raise precondition(
                "NO_BLOB_STORE", f"{field}: this cluster has no blob store; {STORE_ADVICE}"
            )
        blob = blob_of_message(spec.payload_blob)
        if not is_well_formed(blob):
            raise invalid(
                field,
                "sha256 must be 64 hex digits, upload a UUIDv7 in hex, and size not negative",
            )
        if blob.size > self.max_blob:
            raise invalid(
                f"{field}.size",
                f"{blob.size} bytes; at most {self.max_blob} are allowed",
                reason="PAYLOAD_TOO_LARGE",
                limit=self.max_blob,
                value=blob.size,
            )
        if spec.HasField("command"):
            if spec.command.stdin:
                raise invalid(field, "cannot be set together with stdin in the spec")
            return
        if not spec.python.HasField("arguments"):
            raise invalid(field, "needs python work whose json or pickle is set and empty")
        if spec.python.json or spec.python.pickle:
            raise invalid(field, "cannot be set together with arguments in the spec")

    @staticmethod
    def options(spec: task_pb2.TaskSpec, field: str, now: float) -> None:
        """The bounds of everything but a spec's work. Raises QuorateError as `spec`."""
        _options(spec, field, now)

    @staticmethod
    def large_json(spec: task_pb2.TaskSpec, field: str) -> Iterator[None]:
        """Checks JSON arguments that `spec` left out because they are large, in small steps, if
        there are any. A spec of at most LARGE_JSON bytes has none. Raises QuorateError as `spec`.
        """
        text = spec.python.json
        if len(text) > LARGE_JSON:
            yield from _json_steps(text, f"{field}.python.json")


def _python(work: task_pb2.PythonWork, field: str, *, large: bool) -> None:
    arguments = work.WhichOneof("arguments")
    entrypoint = work.entrypoint
    if not entrypoint:
        if arguments != "pickle":
            raise invalid(f"{field}.python.entrypoint", "is required unless a callable is pickled")
    elif not ENTRYPOINT.fullmatch(entrypoint):
        raise invalid(
            f"{field}.python.entrypoint", f"{entrypoint[:80]!r} is not of the form module:function"
        )
    if arguments == "json" and not (large and not work.json):
        text = work.json
        # The common case without a parse.
        if text != "[]" and len(text) <= LARGE_JSON:
            _json(text, f"{field}.python.json")
    if work.secrets:
        _secrets(work.secrets, f"{field}.python.secrets")


def _secrets(secrets: Mapping[str, task_pb2.SecretRef], field: str) -> None:
    """References only: which of them a node has is not known here."""
    at_most(field, len(secrets), MAX_SECRETS, "secrets")
    for name, reference in secrets.items():
        if not VARIABLE.fullmatch(name) or len(name) > MAX_SECRET_NAME:
            raise invalid(
                field,
                f"{name[:80]!r} is not a variable's name of at most {MAX_SECRET_NAME} characters",
                limit=MAX_SECRET_NAME,
            )
        if name.startswith("QUORATE_"):
            raise invalid(
                field, f"{name!r} begins with QUORATE_, which is reserved; choose another name"
            )
        source = reference.WhichOneof("source")
        if source is None:
            raise invalid(f"{field}.{name}", "is required: set env or file")
        text: str = getattr(reference, source)
        pattern = VARIABLE if source == "env" else SECRET_FILE
        at_most(f"{field}.{name}.{source}", len(text), MAX_SECRET_REF, "characters")
        if not pattern.fullmatch(text):
            what = (
                "a variable's name"
                if source == "env"
                else "the name of a file below the secrets directory: letters, digits, '.', '_', "
                "'-' and '/', no part of it beginning with a dot"
            )
            raise invalid(f"{field}.{name}.{source}", f"{text[:80]!r} is not {what}")


def _json(text: str, field: str) -> None:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(field, f"is not JSON: {error}") from None
    if isinstance(value, list):
        return
    if not isinstance(value, dict) or value.keys() - {"args", "kwargs"}:
        raise invalid(field, 'must be an array, or an object with "args" and "kwargs" only')
    if not isinstance(value.get("args", []), list) or not isinstance(value.get("kwargs", {}), dict):
        raise invalid(field, '"args" must be an array and "kwargs" an object')


def _json_steps(text: str, field: str) -> Iterator[None]:
    try:
        yield from shape(text)
    except ValueError as error:
        raise invalid(field, str(error)) from None


def _no_constant(name: str) -> None:
    # Python's parser takes NaN and Infinity; other languages' refuse the whole document.
    raise ValueError(f"{name} has no representation in JSON")


def _command(work: task_pb2.CommandWork, field: str) -> None:
    argv = work.argv
    if not argv or not argv[0]:
        raise invalid(f"{field}.argv", "is empty; the first argument is the program")
    at_most(f"{field}.argv", len(argv), MAX_ARGV, "arguments")
    if any("\0" in word for word in argv):
        raise invalid(f"{field}.argv", "must not hold a NUL character")
    if work.cwd and (not work.cwd.startswith("/") or "\0" in work.cwd):
        raise invalid(
            f"{field}.cwd", f"{work.cwd[:80]!r} is not an absolute path without NUL characters"
        )
    for name, value in work.env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise invalid(
                f"{field}.env",
                f"{name[:80]!r} is not a variable's name, or its value has a NUL character",
            )
    if work.secrets:
        _secrets(work.secrets, f"{field}.secrets")
        if twice := sorted(work.env.keys() & work.secrets.keys()):
            raise invalid(f"{field}.secrets", f"{twice[0]!r} is also in env; set it in one of them")


def _options(spec: task_pb2.TaskSpec, field: str, now: float) -> None:
    if spec.name:
        at_most(f"{field}.name", len(spec.name), MAX_NAME, "characters")
    if spec.labels:
        at_most(f"{field}.labels", len(spec.labels), MAX_LABELS, "labels")
        for key, value in spec.labels.items():
            at_most(f"{field}.labels", max(len(key), len(value)), MAX_LABEL, "characters each")
            if not key:
                raise invalid(f"{field}.labels", "a label needs a name")
    trace = spec.trace_context
    if trace and not TRACEPARENT.fullmatch(trace):
        raise invalid(
            f"{field}.trace_context",
            f"{trace[:80]!r} is not a W3C traceparent of version 00 (55 characters)",
            limit=55,
        )
    priority = spec.priority
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise invalid(
            f"{field}.priority",
            f"{priority} is not within -{MAX_PRIORITY} and {MAX_PRIORITY}",
            limit=MAX_PRIORITY,
            value=priority,
        )
    if spec.HasField("timeout"):
        duration(f"{field}.timeout", spec.timeout, MAX_TIMEOUT)
    if spec.HasField("start_deadline"):
        duration(f"{field}.start_deadline", spec.start_deadline, MAX_AHEAD)
    if spec.HasField("not_before"):
        at = seconds(spec.not_before)
        if not 0 <= spec.not_before.nanos < NANOS:
            raise invalid(f"{field}.not_before", "nanos must be 0 to 999,999,999")
        if at < 0 or at > now + MAX_AHEAD:
            raise invalid(
                f"{field}.not_before",
                "must be after 1970 and at most 366 days in the future",
                limit=MAX_AHEAD,
                value=at,
            )
    if spec.HasField("retry"):
        _retry(spec.retry, f"{field}.retry")
    if spec.HasField("resources"):
        _resources(spec.resources, f"{field}.resources")
    if spec.HasField("placement"):
        placement.rules(spec.placement, spec.labels, f"{field}.placement")
    if spec.affinity_key:
        at_most(f"{field}.affinity_key", len(spec.affinity_key), MAX_AFFINITY, "characters")
    if spec.limit_key:
        _key(f"{field}.limit_key", spec.limit_key)
    if spec.HasField("unique"):
        required(f"{field}.unique.key", spec.unique.key)
        known_enum(f"{field}.unique.on_conflict", spec.unique.on_conflict, range(4))
        if "\0" in spec.unique.key:
            raise invalid(f"{field}.unique.key", "must not hold a NUL character")
        if spec.unique.HasField("window"):
            window = duration(f"{field}.unique.window", spec.unique.window, MAX_WINDOW)
            between(f"{field}.unique.window", window, 1, MAX_WINDOW)
    if spec.ordering_key:
        _key(f"{field}.ordering_key", spec.ordering_key)
    if spec.fairness_key:
        at_most(f"{field}.fairness_key", len(spec.fairness_key), MAX_AFFINITY, "characters")
    if spec.limits:
        at_most(f"{field}.limits", len(spec.limits), MAX_SHARED, "limits")
        for name in spec.limits:
            if not NAME.fullmatch(name):
                raise invalid(f"{field}.limits", f"{name[:80]!r} is not a limit's name")


def _key(field: str, key: str) -> None:
    """A limit or ordering key, which lanes of tasks are named by: `TaskLimits.lane`."""
    at_most(field, len(key), MAX_AFFINITY, "characters")
    if "\0" in key:
        raise invalid(field, "must not hold a NUL character")


def _retry(retry: task_pb2.RetryPolicy, field: str) -> None:
    between(f"{field}.max_attempts", retry.max_attempts, 0, MAX_ATTEMPTS)
    between(f"{field}.crash_limit", retry.crash_limit, 0, MAX_CRASHES)
    if retry.multiplier:
        between(f"{field}.multiplier", retry.multiplier, 1, 100)
    if retry.HasField("jitter"):
        between(f"{field}.jitter", retry.jitter, 0, 1)
    for name in ("initial_backoff", "max_backoff"):
        if retry.HasField(name):
            duration(f"{field}.{name}", getattr(retry, name), DAY, zero=True)
    at_most(f"{field}.fatal_errors", len(retry.fatal_errors), MAX_FATAL, "error types")


def _resources(needs: task_pb2.Resources, field: str) -> None:
    between(f"{field}.cpu", needs.cpu, 0, MAX_CPU)
    between(f"{field}.memory", needs.memory, 0, 1 << 50)
    at_most(f"{field}.counters", len(needs.counters), MAX_COUNTERS, "names")
    for name, amount in needs.counters.items():
        if not NAME.fullmatch(name):
            raise invalid(f"{field}.counters", f"{name[:80]!r} is not a counter's name")
        between(f"{field}.counters[{name}]", amount, 0, 1 << 31)
