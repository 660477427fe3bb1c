"""Runs pieces of chunks: one subtask of an array after the other, with little between two of them.

What the process was like is put back behind the last piece of a chunk, not between its subtasks:
that takes 38 us, and a subtask may take less than one. What a subtask sees of itself in the
environment is put straight into the dictionary behind `os.environ`. The C library's environment,
which is what child processes get, follows when one is started (`noted`).

A subtask's outputs, if it has any, are preceded by a line that names it
(`quorate.runtime.subtask_frames`).
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from itertools import chain
from types import CoroutineType
from typing import Any, Protocol

from node_agent.protocol import answers, pieces
from node_agent.protocol.pieces import (
    ANSWER_SECONDS,
    BASE,
    JSON,
    KEY,
    MARK,
    MAX_SUBTASK_RESULT,
    MAX_UNANSWERED,
    RECORD,
    RECORDS,
    STOP,
    USED,
)
from node_agent.protocol.replies import packets_of
from node_agent.spawner.launching import MARKS_FD
from node_agent.worker import noted, output
from node_agent.worker.calls import Loaded, Problem, from_json, load
from node_agent.worker.output import Streams
from node_agent.worker.results import PageReader, results_of
from node_agent.worker.state import Snapshot
from node_agent.worker.waits import Waits
from quorate.runtime.subtask_frames import frame
from quorate.telemetry.tracing import attach, detach

INDEX, ITEM, TASK_ID = b"QUORATE_INDEX", b"QUORATE_ITEM", b"QUORATE_TASK_ID"
_OF_SUBTASK = (INDEX, ITEM, TASK_ID)
_JOB_ID, _COUNT, _ATTEMPT = b"QUORATE_JOB_ID", b"QUORATE_COUNT", b"QUORATE_ATTEMPT"
_CHUNK = b"QUORATE_CHUNK"
# The kernel takes no longer variable for a new process (MAX_ARG_STRLEN); longer items are left out.
MAX_ITEM_VARIABLE = 64 * 1024
# Integers below this are written without an encoder, and surely fit.
_SMALL = 1 << 63

Message = tuple[Any, ...]


class Home(Protocol):
    """The worker that this is part of."""

    snapshot: Snapshot
    streams: Streams

    def enter(self, trace: str) -> None: ...

    def adopt(self) -> None: ...

    def end(self) -> int: ...

    def end_if_forked(self, answer: answers.Answer) -> None: ...

    def give_secrets(self, secrets: dict[str, str]) -> Callable[[], None]: ...


class Pieces:
    """The pieces that one worker runs.

    Args:
        max_result: bytes of a result.
    """

    def __init__(
        self,
        agent: socket.socket,
        worker: Home,
        waits: Waits,
        max_result: int,
        pages: PageReader | None = None,
    ) -> None:
        self._agent = agent
        self._pages = pages or PageReader(agent, threading.Lock())
        self._worker = worker
        self._waits = waits
        self._max_result = min(max_result, MAX_SUBTASK_RESULT)
        self._memory = pieces.mapped(MARKS_FD)
        os.close(MARKS_FD)
        self._words = pieces.words_of(self._memory)
        # Bytes of records that are not answered; in the words too.
        self._used = 0
        self._pid = os.getpid()
        self._loaded: Loaded | Problem = Problem("NOT_STARTED", "the chunk has no template")
        self._kind = ""
        # What is answered, and since when (monotonic).
        self._key = 0
        self._since = 0.0
        # For children, these variables are in the C library's environment too.
        self._exported = False
        # The subtask whose outputs go where they go now, by stream.
        self._index = 0
        self._framed: dict[int, int | None] = {}

    @property
    def memory(self) -> mmap.mmap:
        """The marks."""
        return self._memory

    def serve(self, message: Message, secrets: dict[str, str]) -> int:
        """Run one piece and answer it; the flags of the last answer."""
        key, trace, last, template, pairs, items, terms = message
        words = self._words
        words[MARK] = words[USED] = words[BASE] = self._used = 0
        words[KEY] = key
        self._key = key
        self._since = time.monotonic()
        upto = 0
        if pairs:
            self._waits.serve(key, self._stop)
            if terms[4] is not None:
                self._pages.serve(key)
            self._frame_outputs(True)
            noted.before_start.append(self._export)
            hide = self._worker.give_secrets(secrets) if secrets else None
            token = attach(trace) if trace else None
            try:
                if template is not None:
                    self._begin(trace, template, terms)
                # Context variables are those of the piece: to copy them takes as long as a call.
                run = copy_context().run
                upto = run(self._run, key, pairs, items, terms)
            finally:
                if token is not None:
                    detach(token)
                if hide is not None:
                    hide()
                noted.before_start.clear()
                self._frame_outputs(False)
                self._waits.over()
                if terms[4] is not None:
                    self._pages.over()
                self._clear()
        flags = 0
        if last:
            self._pages.forget()
            give = self._worker.snapshot.give
            give(_JOB_ID, None)
            give(_COUNT, None)
            flags = self._worker.end()
        self._answer(upto, flags, done=True)
        return flags

    # -- inside --------------------------------------------------------------------------------

    def _begin(self, trace: str, template: tuple[str, str, Any], terms: Message) -> None:
        """Load what all subtasks of a chunk call."""
        worker = self._worker
        give = worker.snapshot.give
        job_id, count, chunk = terms[0], terms[3], terms[5]
        worker.enter(trace)
        give(_JOB_ID, job_id.encode())
        give(_COUNT, b"%d" % count if count else None)
        give(_CHUNK, chunk.encode())
        give(TASK_ID, None)
        give(_ATTEMPT, None)
        entrypoint, kind, arguments = template
        self._kind = kind
        try:
            self._loaded = load(entrypoint, kind, arguments)
        except Problem as problem:
            self._loaded = problem
        worker.adopt()

    def _run(
        self, key: int, pairs: tuple[tuple[int, int], ...], items: tuple[bytes, ...], terms: Message
    ) -> int:
        """Call one subtask after the other; how many offsets ended."""
        job_id, first_index, step, _, reduce, _ = terms
        loaded, kind = self._loaded, self._kind
        if isinstance(loaded, Problem):
            return self._refuse(key, pairs, loaded)
        function, args, kwargs = loaded
        words, environ = self._words, os.environ._data  # type: ignore[attr-defined]
        prefix = job_id.encode() + b"."
        streams = self._worker.streams
        monotonic, started, touched = time.monotonic, noted.started, output.touched
        head = RECORD.pack
        decode: Callable[[bytes], Any] = _from_pickle if kind == "pickle" else _from_json
        due = self._since + ANSWER_SECONDS
        offset = 0
        for position in chain.from_iterable(range(first, last + 1) for first, last in pairs):
            if words[STOP] == key:
                return offset
            words[MARK] = offset
            index = self._index = first_index + step * position
            text = environ[INDEX] = b"%d" % index
            environ[TASK_ID] = prefix + text
            answer = None
            try:
                if items:
                    item = items[offset]
                    if kind != "pickle":
                        self._show(environ, item)
                    argument = decode(item)
                elif reduce is None:
                    argument = index
                else:
                    argument = results_of(self._pages, position, reduce)
                result = function(argument, *args, **kwargs)
                if result is not None:
                    if type(result) is CoroutineType:
                        import asyncio  # most workers never need it, and it is slow to import

                        result = asyncio.run(result)
                    if type(result) is int and kind != "pickle" and -_SMALL < result < _SMALL:
                        # The commonest one; a JSON encoder takes 1 us.
                        data = b"%d" % result
                        self._keep(offset, head(offset, JSON, len(data)) + data)
                    elif result is not None:
                        answer = answers.of_result(kind, result, self._max_result, self._too_large)
            except Problem as problem:
                answer = answers.of_problem(problem.kind, problem.message, problem.traceback_text)
            except BaseException as error:  # noqa: BLE001 (user code may raise anything)
                answer = answers.of_exception(error, ours=1)
            if started and os.getpid() != self._pid:
                self._worker.end_if_forked(answer or ("json", "null"))
            if touched:
                streams.flush_ours()
            if answer is not None:
                self._keep(offset, pieces.record_of(offset, answer))
            offset += 1
            if monotonic() >= due:
                self._answer(offset, 0, done=False)
                due = self._since + ANSWER_SECONDS
        words[MARK] = offset
        return offset

    def _refuse(self, key: int, pairs: tuple[tuple[int, int], ...], problem: Problem) -> int:
        """Answer each subtask with what is wrong with their template."""
        answer = answers.of_problem(problem.kind, problem.message, problem.traceback_text)
        size = sum(last - first + 1 for first, last in pairs)
        for offset in range(size):
            if self._words[STOP] == key:
                return offset
            self._words[MARK] = offset
            record = pieces.record_of(offset, answer)
            self._keep(offset, record)
        self._words[MARK] = size
        return size

    def _keep(self, offset: int, record: bytes) -> None:
        """Keep a record where the agent finds it also if this process dies."""
        used, size = self._used, len(record)
        if used + size > MAX_UNANSWERED:
            self._answer(offset, 0, done=False)
            used = 0
        if size > MAX_UNANSWERED:
            self._answer(offset + 1, 0, done=False, record=record)
            return
        begin = RECORDS + used
        self._memory[begin : begin + size] = record
        self._words[USED] = self._used = used + size

    def _answer(self, upto: int, flags: int, *, done: bool, record: bytes = b"") -> None:
        """Send what has gathered."""
        words, used = self._words, self._used
        payload = pieces.payload_of(
            upto, (self._memory[RECORDS : RECORDS + used], record), done=done
        )
        now = time.monotonic()
        for packet in packets_of(self._key, 0.0, now - self._since, ("piece", payload), flags):
            self._agent.send(packet)
        self._since = now
        # In this order: records of offsets before the base are no records.
        words[USED] = self._used = 0
        words[BASE] = upto

    def _too_large(self, _kind: str, data: bytes) -> answers.Answer:
        return answers.of_problem(
            "RESULT_TOO_LARGE",
            f"the result is {len(data)} bytes long; the limit for a subtask is {self._max_result}: "
            "write it to a file or a store, and return its name",
        )

    def _stop(self) -> None:
        """Begin no other subtask of this piece."""
        self._words[STOP] = self._key

    def _show(self, environ: dict[bytes, bytes], item: bytes) -> None:
        if len(item) <= MAX_ITEM_VARIABLE:
            environ[ITEM] = item
        else:
            environ.pop(ITEM, None)

    def _export(self) -> None:
        """A child process is about to be started: it gets what the subtask sees."""
        if os.getpid() == self._pid:
            environ = os.environ._data  # type: ignore[attr-defined]
            for name in _OF_SUBTASK:
                value = environ.get(name)
                if value is None or b"\0" in value:
                    os.unsetenv(name)
                else:
                    os.putenv(name, value)
            self._exported = True

    def _clear(self) -> None:
        environ = os.environ._data  # type: ignore[attr-defined]
        for name in _OF_SUBTASK:
            environ.pop(name, None)
            if self._exported:
                os.unsetenv(name)
        self._exported = False

    def _frame_outputs(self, wanted: bool) -> None:
        self._framed = {1: None, 2: None}
        self._worker.streams.before_write(self._frame if wanted else None)

    def _frame(self, number: int) -> None:
        """A subtask is about to write to an output."""
        if self._framed[number] != self._index and os.getpid() == self._pid:
            self._framed[number] = self._index
            os.write(number, frame(self._index))


def _from_json(item: bytes) -> Any:
    try:
        return from_json(item.decode())
    except (ValueError, RecursionError) as error:
        raise Problem("ARGUMENTS_NOT_READABLE", f"the item is not JSON: {error}") from None


def _from_pickle(item: bytes) -> Any:
    try:
        return pickle.loads(item)
    except BaseException as error:  # noqa: BLE001 (unpickling runs user code)
        raise Problem(
            "ARGUMENTS_NOT_READABLE",
            "the pickled item does not load here: "
            f"{answers.type_name(type(error))}: {answers.text_of(error)}",
        ) from None
