"""What becomes of tasks that a command waits for: their output, one sentence, and an exit code.

Of one task the output is shown as it is written; of several, that of each as it ends, so that they
do not mix. An output that cannot be read is said to be so, and changes nothing else.
"""

from __future__ import annotations

import itertools
from typing import Any

from rich.progress import Progress

from quorate.cli.exits import FAILED, TIMED_OUT, sentence_of
from quorate.cli.hints import command
from quorate.cli.output.logs import write_chunks, write_logs
from quorate.cli.output.progress import paused, wait_for_all
from quorate.cli.output.render import as_dict, err, hint, print_json
from quorate.cli.tasks.waits import saying_why, why_not_started
from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.client.handle import TaskHandle
from quorate.client.tracking.outcome import error_of, is_finished
from quorate.runtime.errors import QuorateError
from quorate.runtime.sizes import plural
from quorate.v1 import scheduler_pb2, task_pb2

# Bytes of each stream of a task that are kept for JSON.
_MOST_OUTPUT = 1 << 20
_STREAMS = {
    "stdout": scheduler_pb2.LOG_STREAM_STDOUT,
    "stderr": scheduler_pb2.LOG_STREAM_STDERR,
}
# Seconds between looks for another attempt of a task that is waited for.
_LOOK = 0.2
_IMPORTED_ONCE = (
    "Nodes import a module once. If the function is new in its module, restart the nodes "
    "('quorate down', 'quorate up')."
)
_WORDS = (
    "Write the program and its arguments as separate words. For a line of shell: "
    "quorate submit --wait -- sh -c 'echo hello'"
)
_BEFORE_OUTPUT = ("ENTRYPOINT_NOT_FOUND", "NOT_STARTED")
_PROGRAM = "Check the program's name. It must be installed on the nodes."


def wait_one(handle: TaskHandle[Any], timeout: float | None, as_json: bool) -> int:
    """Wait for a task, at most `timeout` seconds; the exit code. Raises TimeoutError."""
    try:
        with saying_why(handle):
            if not as_json and timeout is None:
                _follow(handle)
            with err.status(f"task {handle.id}"):
                task = handle.wait(timeout)
        if not as_json and timeout is not None:
            _show(handle, task)
    except KeyboardInterrupt:
        goes_on(handle)
        raise
    if as_json:
        print_json(_with_output(handle, task))
    if task.state == task_pb2.TASK_STATE_SUCCEEDED:
        return 0
    return report(task, program=True, shown=True)


def goes_on(handle: TaskHandle[Any]) -> None:
    """Say that only the command was interrupted."""
    hint(f"\nThe task goes on. End it with: {command(f'cancel {handle.id}')}")


def _follow(handle: TaskHandle[Any]) -> None:
    """Show what it writes until it is finished, attempt after attempt."""
    write_logs(handle, follow=True)
    shown = handle.task().attempt
    while True:
        try:
            task = handle.wait(_LOOK)
        except TimeoutError:
            task = handle.task()
        if task.attempt > shown:
            shown = task.attempt
            hint(f"Attempt {shown}:")
            write_logs(handle, follow=True)
        elif is_finished(task):
            return


def wait_many(
    client: Client, handles: list[TaskHandle[Any]], queue: str, timeout: float | None, as_json: bool
) -> int:
    """Wait for tasks of one queue, at most `timeout` seconds; the exit code."""

    def show(task: task_pb2.Task, bar: Progress) -> None:
        if not as_json:
            _show(client.get(task.id), task, bar)

    finished = wait_for_all(client, [handle.id for handle in handles], queue, timeout, show)
    if as_json:
        print_json([_with_output(client.get(task.id), task) for task in finished.values()])
    if len(finished) < len(handles):
        late = len(handles) - len(finished)
        err.print(f"quorate: {late} of {plural(len(handles), 'task')} not finished yet")
        first = next(handle for handle in handles if handle.id not in finished)
        if why := why_not_started(first):
            hint(why)
        return TIMED_OUT
    bad = [t for t in finished.values() if t.state != task_pb2.TASK_STATE_SUCCEEDED]
    if bad:
        err.print(f"{len(bad)} of {len(handles)} tasks did not succeed; the first:", end=" ")
        return report(bad[0])
    return 0


def _with_output(handle: TaskHandle[Any], task: task_pb2.Task) -> dict[str, Any]:
    """A finished task as JSON, with what its last attempt wrote; null where that cannot be read.

    The last `_MOST_OUTPUT` bytes of each stream, as text; `outputCut` says that there was more.
    """
    document = as_dict(task)
    texts = {
        scheduler_pb2.LOG_STREAM_STDOUT: bytearray(),
        scheduler_pb2.LOG_STREAM_STDERR: bytearray(),
    }
    cut = False
    try:
        for chunk in handle.logs() if task.attempt else ():
            text = texts.setdefault(chunk.stream, bytearray())
            text += chunk.data
            if len(text) > _MOST_OUTPUT:
                del text[:-_MOST_OUTPUT]
                cut = True
    except QuorateError as error:
        err.print(f"The output of {task.id} cannot be read: {sentence_of(error)}", markup=False)
        return {**document, "stdout": None, "stderr": None}
    for name, stream in _STREAMS.items():
        document[name] = bytes(texts[stream]).decode(errors="replace")
    return {**document, "outputCut": True} if cut else document


def _show(handle: TaskHandle[Any], task: task_pb2.Task, bar: Progress | None = None) -> None:
    """What a finished task wrote, in its last attempt."""
    if not task.attempt:
        return
    try:
        chunks = handle.logs()
        first = next(chunks, None)
        if first is None:
            return
        with paused(bar):
            write_chunks(itertools.chain((first,), chunks))
    except QuorateError as error:
        err.print(f"The output of {task.id} cannot be read: {sentence_of(error)}", markup=False)


def report(task: task_pb2.Task, *, program: bool = False, shown: bool = False) -> int:
    """One sentence about a task that did not succeed, and the traceback of its own code.

    Returns the command's exit code; with `program` that of the program which the task ran: its own
    code, or 128 + N when signal N ended it, as shells have it. `shown`: as `report_failure`.
    """
    # Nobody needs the original here, and a pickle runs code of whoever made it.
    error = error_of(task, pickled=False)
    if isinstance(error, TaskFailed):
        code = report_failure(error, shown=shown)
        return program_code(error) or code if program else code
    err.print(f"quorate: {error}", markup=False)
    return FAILED


def program_code(failed: TaskFailed) -> int:
    """The exit code of the program that failed; 0 when it never came to one."""
    if failed.type == "EXIT_CODE":
        return failed.code & 0xFF
    return 128 + (failed.code & 0x7F) if failed.type == "SIGNAL" else 0


def report_failure(failed: TaskFailed, *, shown: bool = False) -> int:
    """As `report`, of a failure that is known already; `shown`: the task's output was shown."""
    err.print(f"quorate: {failed}", markup=False)
    # One line alone is the message again.
    if "\n" in failed.remote_traceback.strip():
        err.print(failed.remote_traceback.rstrip(), markup=False, style="dim")
    if advice := _advice(failed):
        hint(advice)
    elif shown or failed.type in _BEFORE_OUTPUT:
        hint(f"Details: {command(f'task {failed.task_id}')}")
    else:
        hint(f"Output: {command(f'logs {failed.task_id}')}")
    return FAILED


def _advice(failed: TaskFailed) -> str:
    """What to do about a failure that comes before any output."""
    match failed.type:
        case "ENTRYPOINT_NOT_FOUND" if "has no attribute" in failed.message:
            return _IMPORTED_ONCE
        case "NOT_STARTED" if failed.message.endswith("no such program"):
            return _WORDS if " " in failed.message.rpartition(": ")[0] else _PROGRAM
    return ""
