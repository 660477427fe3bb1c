"""Exit codes, for scripts, and the one sentence on standard error that goes with each.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a task failed or was cancelled, or a local cluster could not be run |
| 2 | the command line is wrong, or a value the cluster calls invalid |
| 3 | what was named does not exist |
| 4 | no cluster answered |
| 5 | refused: the state does not allow it, it exists already, a limit is reached |
| 6 | not finished in the time given with --wait-timeout |
| 130 | interrupted (Ctrl-C) |
| 141 | whoever read the output went away |

`submit --wait` of one program exits as that program did: with its exit code, or 128 + N when signal
N ended it; with 1 when it was never started, timed out or was cancelled.
"""

from __future__ import annotations

import grpc

from quorate.client.errors import TaskCancelled, TaskFailed
from quorate.runtime.errors import QuorateError
from quorate.runtime.process import exit_codes

# At the end of `quorate --help`.
EPILOG = (
    "Exit codes: 0 done; 1 a task failed or was cancelled; 2 wrong command line or value; "
    "3 the task, queue or node does not exist; 4 no cluster answered; "
    "5 refused (wrong state, already exists, a limit, no permission); "
    "6 not finished in the time given; 130 Ctrl-C. The exit code of 'submit --wait' is that of "
    "the program."
)

OK = 0
FAILED = 1
USAGE = exit_codes.USAGE
NOT_FOUND = 3
UNAVAILABLE = 4
REFUSED = 5
TIMED_OUT = 6
INTERRUPTED = 130
PIPE_CLOSED = 141

_BY_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNAVAILABLE,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: REFUSED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: REFUSED,
    grpc.StatusCode.OUT_OF_RANGE: REFUSED,
    grpc.StatusCode.ABORTED: REFUSED,
}


def code_of(error: BaseException) -> int:
    """The exit code that stands for an error."""
    if isinstance(error, QuorateError) and error.reason == "LIMIT_NOT_FOUND":
        # Also of a task that names it, where the code is FAILED_PRECONDITION.
        return NOT_FOUND
    if isinstance(error, QuorateError):
        return _BY_CODE.get(error.code, FAILED)
    if isinstance(error, TaskFailed | TaskCancelled):
        return FAILED
    if isinstance(error, TimeoutError):
        return TIMED_OUT
    return FAILED


# What to do about an error, as commands. The messages themselves are those of the cluster, for
# every client.
_COMMANDS = {
    "QUEUE_NOT_FOUND": "see 'quorate queues', or create it with 'quorate queue create NAME'",
    "QUEUE_NOT_EMPTY": "delete finished tasks with 'quorate delete --queue NAME --yes'",
    "EXCHANGE_NOT_FOUND": "see 'quorate exchange list', or create it with "
    "'quorate exchange create NAME'",
    "MESSAGE_QUEUE_NOT_FOUND": "see 'quorate mq list' and 'quorate stream list', or create it with "
    "'quorate mq create NAME'",
    "ROUTE_NOT_FOUND": "see 'quorate mq list' and 'quorate binding list'",
    "NODE_NOT_FOUND": "see 'quorate nodes'",
    "SERVICE_NOT_FOUND": "see 'quorate service list'",
    "TASK_NOT_FOUND": "see 'quorate tasks', and 'quorate jobs' for jobs",
    "JOB_NOT_FOUND": "see 'quorate jobs'",
    "JOB_IS_GRAPH": "list them with 'quorate job tasks ID'",
    "JOB_NOT_FINISHED": "wait for it with 'quorate job wait ID', or cancel it",
}


def sentence_of(error: BaseException) -> str:
    """What is wrong, then what to do, for a person: one line, or the lines of our own message."""
    sentence = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, QuorateError) and error.reason == "NO_CLUSTER":
        return error.message
    if isinstance(error, QuorateError) and error.reason in _COMMANDS:
        return f"{sentence}; {_COMMANDS[error.reason]}"
    return sentence
