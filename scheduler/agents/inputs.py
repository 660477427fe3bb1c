"""Inputs of tasks of graphs: the results of other tasks, put into what an agent is sent. Pure.

The leader puts them into the spec itself: of a JSON call as keyword arguments, of a command as
environment variables, and of a pickled call as a pickle around the caller's, which only the worker
loads. So agents of any version get them, and nothing else of the way of a task is different.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Generator, Sequence
from typing import Final

from quorate.blobs.names import Blob
from quorate.client.work.inputs import Input, WithInputs
from quorate.v1 import task_pb2
from scheduler.engine.long_work.json_steps import value as one_value

# Bytes of all inputs of one task; of one input of a command.
MOST_BYTES: Final = 2 << 20
MOST_VARIABLE: Final = 96 << 10
TOO_LARGE: Final = "INPUTS_TOO_LARGE"
NOT_FOUND: Final = "INPUT_NOT_FOUND"


class InputError(Exception):
    """A task cannot get its inputs: the type of its error, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def with_inputs(
    data: bytes, results: Sequence[tuple[str, str, task_pb2.TaskResult | None]]
) -> Generator[None, None, bytes]:
    """A serialized spec with its inputs; yields between small steps through large JSON values.

    Args:
        results: parameter, name of the other task and its result; None: there is none.

    Raises:
        InputError: they are too large, or one is missing.
    """
    inputs = [_input(*one) for one in results]
    size = sum(len(value) for _, _, value in inputs)
    if size > MOST_BYTES:
        raise InputError(
            TOO_LARGE,
            f"the inputs have {size} bytes together; at most {MOST_BYTES} are passed: put large "
            "results into the blob store or pass a path",
        )
    spec = task_pb2.TaskSpec.FromString(data)
    try:
        yield from _put(spec, inputs)
    except (ValueError, RecursionError) as error:
        # A result is what an agent says it is: no JSON, or text that no program can be given. It is
        # the task that fails, and not whoever sends it.
        raise InputError(NOT_FOUND, f"an input cannot be passed: {error}") from None
    return spec.SerializeToString()


def _put(spec: task_pb2.TaskSpec, inputs: Sequence[Input]) -> Generator[None, None, None]:
    if spec.HasField("command"):
        for parameter, kind, value in inputs:
            spec.command.env[parameter] = _variable(parameter, _json(parameter, kind, value))
    elif spec.python.HasField("pickle"):
        spec.python.pickle = pickle.dumps(WithInputs(spec.python.pickle, tuple(inputs)), protocol=5)
    else:
        values = {name: _json(name, kind, value) for name, kind, value in inputs}
        for text in values.values():
            # One value: text behind it would add arguments to the call.
            yield from one_value(text)
        spec.python.json = _merged(spec.python.json, values)


def _input(parameter: str, name: str, result: task_pb2.TaskResult | None) -> Input:
    if result is None:
        raise InputError(NOT_FOUND, f"input {parameter!r}: task {name!r} has no result on record")
    kind = result.WhichOneof("value")
    if result.HasField("blob"):
        blob = result.blob
        text = Blob(blob.sha256, blob.upload, blob.size).text
        return parameter, f"{'pickle' if kind == 'pickle' else 'json'}-blob", text
    if kind == "pickle":
        return parameter, "pickle", result.pickle
    if kind == "exit_code":
        return parameter, "json", str(result.exit_code)
    return parameter, "json", result.json or "null"


def _json(parameter: str, kind: str, value: str | bytes) -> str:
    if kind != "json" or not isinstance(value, str):
        raise InputError(
            TOO_LARGE if kind == "json-blob" else NOT_FOUND,
            f"input {parameter!r} is {'in the blob store' if 'blob' in kind else 'a pickle'}; only "
            "a call with pickled arguments can read it",
        )
    return value


def _variable(parameter: str, text: str) -> str:
    """A JSON value for a program: a string is itself."""
    value = text
    # An escape has at most six characters for one byte; a longer text is not parsed.
    if text.startswith('"') and len(text) <= 6 * MOST_VARIABLE + 2:
        value = json.loads(text)
        if "\0" in value:
            raise InputError(NOT_FOUND, f"input {parameter!r} holds a NUL character")
    if len(value.encode(errors="replace")) > MOST_VARIABLE:
        raise InputError(
            TOO_LARGE,
            f"input {parameter!r} has {len(value)} characters; a command gets at most "
            f"{MOST_VARIABLE} bytes of each",
        )
    return value


def _merged(arguments: str, values: dict[str, str]) -> str:
    """JSON arguments with more keyword arguments, whose values are JSON texts already.

    The arguments are parsed in one go: a spec has at most as many bytes as a payload may have.
    """
    call = json.loads(arguments) if arguments else []
    args, kwargs = (
        (call, {})
        if isinstance(call, list)
        else (
            call.get("args", []),
            call.get("kwargs", {}),
        )
    )
    if twice := sorted(kwargs.keys() & values.keys()):
        raise InputError(NOT_FOUND, f"{twice[0]!r} is an argument and an input")
    known = [f"{json.dumps(name)}:{_text(value)}" for name, value in kwargs.items()]
    more = [f"{json.dumps(name)}:{text}" for name, text in values.items()]
    return f'{{"args":{_text(args)},"kwargs":{{{",".join([*known, *more])}}}}}'


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
