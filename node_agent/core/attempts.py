"""Attempts on this node, and what becomes of them.

```
          assigned                 fill                      exited
 (leader) --------> WAITING ----------------> IN A LANE ----------------> OUTBOX --> acknowledged
                      |  ^                      |   | kill
                      |  +------ recalled ------+   +-> (executor ends it) -> exited
                      +--> returned (never began: no failure)
```

A replica of a service never waits: it gets a lane of its own at once (see `services`).

A lane (see `slots`) may hold several attempts: the first is the one that runs, those behind it
were handed to its executor ahead of time and can be taken back until they begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from node_agent.core.chunks.chunk import Chunk
from node_agent.core.failure import Failure as Failure
from node_agent.core.hooks import HookEnds, Hooks
from node_agent.core.progress import Progress

WAITING = -1
# Calls that are expected to end sooner are not asked when they began.
BRIEF_SECONDS = 0.005
# An attempt that was handed over begins within this time; its timeout counts from its beginning.
BEGIN_SECONDS = 60.0


class Ref(NamedTuple):
    """Names one execution of a task."""

    task_id: str
    number: int


class Reason(Enum):
    """Why an attempt is ended from outside."""

    TIMEOUT = "ran longer than its timeout"
    CANCELLED = "cancelled on request"
    # The node empties itself and the grace is over.
    DRAINED = "the node drained"
    # The lease can no longer be alive and the queue asked for STOP.
    DISCONNECTED = "the node lost touch with the cluster"
    # A newer attempt of the same task arrived: the leader gave this one away long ago.
    SUPERSEDED = "a newer attempt took its place"
    # A replica of a service that is no good any more.
    UNHEALTHY = "failed its health checks"


# Ended without a report: the leader has already given these to someone else.
SILENT = frozenset({Reason.SUPERSEDED})
# Ended for reasons outside the attempt: reported as returned.
RETURNED = frozenset({Reason.DRAINED, Reason.DISCONNECTED})
# Ended in its own time: a replica finishes its requests first.
GENTLE = frozenset({Reason.CANCELLED, Reason.DRAINED})


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt this node accepted. Owned by the machine; executors read `work` only."""

    task_id: str
    number: int
    # What to run; opaque to the core.
    work: object
    # Attempts of one profile (entrypoint, program) are expected to take equally long.
    profile: str = ""
    # Runs in the lane's warm worker; a program needs none.
    warm: bool = False
    # Seconds an attempt may run; 0 for no limit.
    timeout: float = 0.0
    stop_on_disconnect: bool = False
    # A replica of a service: it runs beside the slots (see `services`), until it is ended.
    replica: bool = False
    # Seconds between the order to end and the signal; replicas only.
    drain_grace: float = 0.0
    # The lane it was handed to, or WAITING.
    lane: int = WAITING
    # Seconds it is expected to keep that lane busy.
    load: float = 0.0
    accepted_at: float = 0.0
    # When its program or function really began (monotonic seconds); 0 while that is not known.
    running_since: float = 0.0
    # Its start was reported to the leader.
    announced: bool = False
    # It has waited for other tasks, or is a chunk: how long it took says nothing about the next
    # one.
    waited: bool = False
    # Finished, returned or dropped: nothing about it is to be sent any more, save its report.
    over: bool = False
    killed: Reason | None = None
    # More about that, for the report.
    why: str = ""
    # W3C traceparent of what it belongs to; "" for none.
    trace: str = ""
    # Queue and name of a traced task, for its span.
    traced: tuple[str, str] = ("", "")
    # Set when its work is some subtasks of an array.
    chunk: Chunk | None = None
    # It is to stand still; since when it does (0: it does not), and how long it did before.
    suspended: bool = False
    stopped_at: float = 0.0
    stood_still: float = 0.0
    # What is run around it; and that only its clean-up is left, so nothing ends it any more.
    hooks: Hooks | None = None
    settled: bool = False
    # What it last said of itself.
    progress: Progress | None = None

    @property
    def ref(self) -> Ref:
        """Its name on the wire."""
        return Ref(self.task_id, self.number)

    def is_late(self, held: float, now: float) -> bool:
        """Whether its time is over, `held` seconds after it was handed over."""
        if self.running_since:
            ran = (self.stopped_at or now) - self.running_since - self.stood_still
            return ran > self.timeout
        wait = BEGIN_SECONDS
        if self.hooks is not None and self.hooks.setup is not None:
            wait += self.hooks.setup.timeout
        if held > self.timeout + wait:
            self.why = f"it did not begin within {wait:g} s"
            return True
        return False

    @property
    def brief(self) -> bool:
        """Whether it is expected to end before its start could be reported to anybody."""
        return self.load < BRIEF_SECONDS


@dataclass(slots=True)
class Result:
    """What an attempt gave back. Nobody changes it; frozen, it would take 0.3 us more to make."""

    kind: Literal["json", "pickle", "exit_code", "json-blob", "pickle-blob"]
    value: str | bytes | int


@dataclass(slots=True)
class Outcome:
    """How an attempt ended. `value` None means: returned, run it elsewhere."""

    value: Result | Failure | None
    # Wall time (seconds since the epoch) when it began; 0 when it never did.
    start: float = 0.0
    # Seconds it ran.
    seconds: float = 0.0
    # How its hooks ended, if any ran.
    hooks: HookEnds | None = None

    @property
    def size(self) -> int:
        """Roughly the bytes it holds in memory."""
        value = self.value
        if type(value) is Result:
            return 200 if isinstance(value.value, int) else 200 + len(value.value)
        if type(value) is Failure:
            return 300 + len(value.message) + len(value.traceback) + len(value.pickle)
        return 200


def outcome_of_kill(attempt: Attempt, natural: Outcome) -> Outcome:
    """The outcome to report of an attempt that was ended for `attempt.killed`.

    What it did on its own while dying does not count, with one exception: a success that beat a
    drain is kept, as running it again elsewhere would help nobody (a replica's exit is no success:
    it is wanted elsewhere).
    """
    reason = attempt.killed
    assert reason is not None
    if reason in RETURNED:
        if isinstance(natural.value, Result) and not attempt.replica:
            return natural
        return Outcome(None, natural.start, natural.seconds, natural.hooks)
    message = reason.value
    if reason is Reason.TIMEOUT:
        message = f"{message} of {attempt.timeout:g} s"
    if attempt.why:
        message = f"{message}: {attempt.why}"
    failure = Failure(type=reason.name, message=message)
    return Outcome(failure, natural.start, natural.seconds, natural.hooks)
