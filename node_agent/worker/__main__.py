"""`python -m node_agent.worker <lane> <max tasks> <max bytes> <max result> <max blob> <blob URL>`.

Its descriptors beside 0 to 2 are in `executors.launching`.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence

from node_agent.protocol import answers
from node_agent.protocol.answers import BLOB_KINDS, Answer
from node_agent.protocol.packets import ANSWERS, MAX_PACKET, read
from node_agent.protocol.pieces import REQUEST_PARTS
from node_agent.protocol.replies import LAST, USED, packets_of
from node_agent.spawner.launching import COUNTS_FD, MARKS_FD, OUTPUTS_FD, WORKER_FD
from node_agent.worker import noted
from node_agent.worker.calls import Problem, call, load
from node_agent.worker.children import Children
from node_agent.worker.large import LargeValues
from node_agent.worker.output import Broken, Pipes, Streams
from node_agent.worker.pieces import Pieces
from node_agent.worker.progress import ProgressMarks
from node_agent.worker.results import PageReader
from node_agent.worker.state import Snapshot
from node_agent.worker.waits import Waits
from quorate.client.tracking import progress, waiting
from quorate.client.work import inputs
from quorate.telemetry.tracing import TRACEPARENT

_PR_SET_PDEATHSIG = 1
# A worker that ends has this long for its `atexit` functions and threads.
EXIT_SECONDS = 2.0
# Tries to put things back while signal handlers of user code get in the way.
_TRIES = 3
# Attempts between two looks at the process's size and descriptors; between two thorough looks,
# which take 0.1 ms.
_WEIGH_EVERY = 64
_LOOK_EVERY = 256
_TRACEPARENT = os.fsencode(TRACEPARENT)
# As `os.fsencode` does, which looks at its argument's type first.
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_PAGE = os.sysconf("SC_PAGE_SIZE")


def die_with_spawner() -> None:
    """Have the kernel kill this process when the spawner dies."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(1)  # it died just before


def resident() -> int:
    """Bytes of memory this process holds."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(descriptor, 256).split()[1]) * _PAGE
    finally:
        os.close(descriptor)


def is_full_of_files() -> bool:
    """Whether calls have left half of the descriptors open that the process may have."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Their number, since Linux 6.2; to list them takes ten times as long.
    count = os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    return count > most // 2


class Worker:
    """What is the same for all calls of this process.

    Args:
        max_bytes: of memory, after which it ends; 0 for no limit.
        max_result: bytes of a result; larger ones, and large arguments, are for `large`.
    """

    def __init__(self, pipes: Pipes, max_bytes: int, max_result: int, large: LargeValues) -> None:
        self._pipes = pipes
        self._max_bytes = max_bytes
        self._max_result = max_result
        self._large = large
        self.streams = Streams()
        self._children = Children()
        self.snapshot = Snapshot()
        self._served = 0
        self._pid = os.getpid()

    def answer(
        self,
        task_id: str,
        number: int,
        trace: str,
        entrypoint: str,
        kind: str,
        arguments: str | bytes,
    ) -> Answer:
        """Call what an attempt names."""
        give = self.snapshot.give
        give(b"QUORATE_TASK_ID", task_id.encode(_ENCODING, _ERRORS))
        give(b"QUORATE_ATTEMPT", b"%d" % number)
        self.enter(trace)
        known = len(sys.modules)
        try:
            if kind in BLOB_KINDS:
                kind, held = self._large.open(kind, arguments)
                loaded = load(entrypoint, kind, held)
                if not isinstance(held, str):
                    held.close()
            else:
                loaded = load(entrypoint, kind, arguments)
            if len(sys.modules) != known:
                self.adopt()
        except Problem as problem:
            return answers.of_problem(problem.kind, problem.message, problem.traceback_text)
        return call(loaded, kind, trace, self._max_result, self._large.keep)

    def with_secrets(self, secrets: dict[str, str], *attempt: object) -> Answer:
        """As `answer`, with more in the environment meanwhile."""
        hide = self.give_secrets(secrets)
        try:
            return self.answer(*attempt)  # type: ignore[arg-type]
        finally:
            hide()

    def enter(self, trace: str) -> None:
        """The environment names the span that the next call belongs to; "" for none."""
        if trace or _TRACEPARENT in os.environ._data:  # type: ignore[attr-defined]
            self.snapshot.give(_TRACEPARENT, trace.encode(_ENCODING, _ERRORS) if trace else None)

    def give_secrets(self, secrets: dict[str, str]) -> Callable[[], None]:
        """Add to the environment, until what is returned is called."""
        hidden = {name: os.environb.get(name) for name in map(os.fsencode, secrets)}
        os.environ.update(secrets)

        def hide() -> None:
            for name, value in hidden.items():
                self.snapshot.give(name, value)

        return hide

    def end_if_forked(self, answer: Answer) -> None:
        """End a process that the call forked and that came back as if it were the worker.

        Its parent answers. Two processes on one lane would take each other's attempts.
        """
        if not noted.started or os.getpid() == self._pid:
            return
        code = 0
        try:
            if answer[0] == "error":
                _, kind, message, traceback_text, *_ = answer
                code = _exit_code(message) if kind == "SystemExit" else 1
                if kind != "SystemExit":
                    sys.stderr.write(traceback_text)
            self.streams.flush()
        finally:
            os._exit(code)

    def end(self) -> int:
        """Put back what the call changed; the flags of its answer."""
        for _ in range(_TRIES):
            try:
                return self._end()
            except Broken as why:
                return self._give_up(str(why))
            except BaseException:  # noqa: BLE001
                continue  # a signal handler or a stream of the call's: once more, without them
        return self._give_up("what it changed cannot be put back")

    # -- inside --------------------------------------------------------------------------------

    def _end(self) -> int:
        pipes, streams = self._pipes, self.streams
        intact = streams.flush()
        pipes.put_back()
        if not intact:
            streams.put_back()
        self._served += 1
        thorough = self._served % _LOOK_EVERY == 0
        notes: Sequence[str] = ()
        if not self.snapshot.is_intact(thorough=thorough):
            notes = self.snapshot.put_back()
        started, left = self._children.look(thorough=thorough)
        flags = 0
        if started or notes or pipes.written():
            for note in (*notes, *left):
                pipes.say(f"quorate: {note}\n")
            pipes.renew()
            flags = USED
        if self._served % _WEIGH_EVERY == 0 and (
            (self._max_bytes and resident() > self._max_bytes) or is_full_of_files()
        ):
            flags |= LAST
        return flags

    def _give_up(self, why: str) -> int:
        try:
            self._pipes.say(f"quorate: this worker process is replaced: {why}\n")
            self._pipes.renew()
        except (Broken, OSError):
            pass
        return USED | LAST

    def adopt(self) -> None:
        """What modules have set up while they were imported is theirs to keep."""
        if not self.streams.flush():
            self.streams.put_back()
        try:
            self.snapshot.adopt()
        except Broken:
            pass  # again after the call, and then it counts


def serve(
    agent: socket.socket, worker: Worker, pieces: Pieces, waits: Waits, max_tasks: int
) -> None:
    """Answer attempts until the agent ends this; a limit of 0 tasks is none."""
    served = 0
    wall, monotonic = time.time, time.monotonic
    for part in packets_of(0, 0.0, 0.0, ("ready",)):
        agent.send(part)
    while packet := agent.recv(MAX_PACKET):
        if packet[:1] in ANSWERS:
            continue  # to a question that a signal handler ended
        message, secrets = read(packet)
        if len(message) == REQUEST_PARTS:
            if pieces.serve(message, secrets) & LAST:
                return
            continue
        key, task_id, number, trace, report_start, entrypoint, kind, arguments = message
        started, running_since = wall(), monotonic()
        if report_start:
            for part in packets_of(key, running_since, 0.0, ("began",)):
                agent.send(part)
        waits.serve(key)
        if secrets:
            answer = worker.with_secrets(
                secrets, task_id, number, trace, entrypoint, kind, arguments
            )
        else:
            answer = worker.answer(task_id, number, trace, entrypoint, kind, arguments)
        worker.end_if_forked(answer)
        waits.over()
        seconds = monotonic() - running_since
        flags = worker.end()
        served += 1
        if served == max_tasks:
            flags |= LAST
        for part in packets_of(key, started, seconds, answer, flags):
            agent.send(part)
        if flags & LAST:
            return


def _exit_code(message: str) -> int:
    """The status that SystemExit with this text stands for."""
    if message in ("", "None"):
        return 0
    try:
        return int(message) & 0xFF
    except ValueError:
        return 1


def main() -> None:
    *numbers, blob_url = sys.argv[1:]
    lane, max_tasks, max_bytes, max_result, max_blob = map(int, numbers)
    large = LargeValues(blob_url, max_blob, max_result)
    inputs.register(large.open)
    die_with_spawner()
    # Not for child processes of user code.
    for descriptor in (WORKER_FD, OUTPUTS_FD, COUNTS_FD, MARKS_FD):
        os.set_inheritable(descriptor, False)
    faulthandler.enable()
    agent = socket.socket(fileno=WORKER_FD)
    sys.argv = ["quorate-worker"]
    worker = Worker(Pipes(lane), max_bytes, max_result, large)
    asking = threading.Lock()
    waits = Waits(agent, asking)
    waiting.register(waits)
    pieces = Pieces(agent, worker, waits, max_result, PageReader(agent, asking))
    progress.register(ProgressMarks(pieces.memory, waits))
    try:
        serve(agent, worker, pieces, waits, max_tasks)
    except BrokenPipeError:
        pass  # the agent is gone, and nobody is interested in the answer
    # What calls left may not keep the lane from its next worker.
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True, file=null)


if __name__ == "__main__":
    main()
