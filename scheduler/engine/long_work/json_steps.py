"""Checks that a text is JSON in small steps, so that a large one does not hold the event loop.

`json.loads` of 256 KiB takes up to 10 ms and more, and cannot be interrupted. This accepts what
`json.loads` accepts, without NaN and Infinity, down to `DEEPEST` levels. Runs of scalars are
matched by one regular expression in C, at most `_RUN` of them at a time; a string with more than
`_ESCAPES` escapes is gone through by itself.

It is linear because no text matches in two ways. Quantifiers of groups are greedy and bounded: the
possessive ones, which would be better, are wrong before Python 3.11.5 (gh-106052).
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Final

# Levels of arrays and objects; Python's own parser gives up at about a thousand.
DEEPEST: Final = 900
# Scalars, escapes of one string, and brackets that are gone through in one step.
_RUN: Final = 500
# Escapes of a string among others.
_ESCAPES: Final = 16
_PLAIN: Final = r'[^"\\\x00-\x1f]*+'
_ESCAPE: Final = rf'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_PLAIN}'
_STRING: Final = rf'"{_PLAIN}(?:{_ESCAPE}){{0,{_ESCAPES}}}"'
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_WS: Final = r"[ \t\n\r]*+"
# What has no other value inside.
_SCALAR: Final = rf"(?:{_STRING}|{_NUMBER}|true|false|null|\[{_WS}\]|\{{{_WS}\}})"
_space: Final = re.compile(_WS)
_scalar: Final = re.compile(_SCALAR)
_begin: Final = re.compile(f'"{_PLAIN}')
_escapes: Final = re.compile(rf"(?:{_ESCAPE}){{1,{_RUN}}}")
_colon: Final = re.compile(rf"{_WS}:{_WS}")
# Values of an array, or members of an object, that are scalars: each with the comma behind it.
_values: Final = re.compile(rf"(?:{_SCALAR}{_WS},{_WS}){{1,{_RUN}}}")
_members: Final = re.compile(rf"(?:{_STRING}{_WS}:{_WS}{_SCALAR}{_WS},{_WS}){{1,{_RUN}}}")


def value(text: str) -> Generator[None, None, None]:
    """Go through `text`, which is to be one JSON value of any kind; yields as `shape`.

    Raises:
        ValueError: it is not, in a sentence.
    """
    at = _skip(text, 0)
    if text[at : at + 1] in ("[", "{"):
        yield from _nested(text, at, None)
        return
    found = _scalar.match(text, at)
    end = found.end() if found is not None else (yield from _string(text, at))
    if (end := _skip(text, end)) != len(text):
        raise _error(text, end)


def shape(text: str) -> Generator[None, None, None]:
    """Go through `text`; yields between steps of well below a millisecond.

    Raises:
        ValueError: it is not JSON, in a sentence; or not arguments of a task.
    """
    at = _skip(text, 0)
    if text[at : at + 1] not in ("[", "{"):
        raise ValueError("is neither an array nor an object")
    members: dict[str, str] = {}
    yield from _nested(text, at, members)
    _check_members(members)


def _nested(text: str, at: int, members: dict[str, str] | None) -> Generator[None, None, None]:
    """Past an array or an object, and to the end of the text.

    Args:
        members: of the outermost object, which is that of arguments: gets what its members begin
            with; the last one of a name counts. None: it may have any.
    """
    stack: list[str] = []
    steps = 0
    while True:
        # A value begins here.
        opening = text[at : at + 1]
        if opening == "[" or opening == "{":
            stack.append(opening)
            if len(stack) > DEEPEST:
                raise ValueError(f"is nested deeper than {DEEPEST} levels")
            at = _skip(text, at + 1)
            if text[at : at + 1] != _CLOSING[opening]:
                at = yield from _run(text, at, stack, members)
                continue
        else:
            found = _scalar.match(text, at)
            end = found.end() if found is not None else (yield from _string(text, at))
            at = _skip(text, end)
        # A value has ended, or an empty array or object is to be closed.
        while True:
            steps += 1
            if steps % _RUN == 0:
                yield
            here = text[at : at + 1]
            if stack and here == _CLOSING[stack[-1]]:
                stack.pop()
                at = _skip(text, at + 1)
                if not stack:
                    if at != len(text):
                        raise _error(text, at)
                    return
                continue
            if here != ",":
                raise _error(text, at)
            at = yield from _run(text, _skip(text, at + 1), stack, members)
            break


_CLOSING: Final = {"[": "]", "{": "}"}


def _run(
    text: str, at: int, stack: list[str], members: dict[str, str] | None
) -> Generator[None, None, int]:
    """Past scalars with commas behind them, and the next member's name: where its value begins."""
    inside = stack[-1]
    if inside == "[":
        while found := _values.match(text, at):
            at = found.end()
            yield
        return at
    if members is None or len(stack) > 1:
        members = None
        while found := _members.match(text, at):
            at = found.end()
            yield
    begin = at
    at = yield from _string(text, at)
    # A longer one is no name that is allowed outermost.
    quoted = text[begin:at] if at - begin <= 64 else '""'
    colon = _colon.match(text, at)
    if colon is None:
        raise _error(text, at)
    at = colon.end()
    if members is not None:
        name = json.loads(quoted)
        members[name] = text[at : at + 1]
        if name not in ("args", "kwargs"):
            raise ValueError('must be an array, or an object with "args" and "kwargs" only')
    return at


def _string(text: str, at: int) -> Generator[None, None, int]:
    """Past a string, however many escapes it has."""
    found = _begin.match(text, at)
    if found is None:
        raise _error(text, at)
    end = found.end()
    while found := _escapes.match(text, end):
        end = found.end()
        yield
    if text[end : end + 1] != '"':
        raise _error(text, at)
    return end + 1


def _check_members(members: dict[str, str]) -> None:
    if members.get("args", "[") != "[" or members.get("kwargs", "{") != "{":
        raise ValueError('"args" must be an array and "kwargs" an object')


def _skip(text: str, at: int) -> int:
    found = _space.match(text, at)
    assert found is not None
    return found.end()


def _error(text: str, at: int) -> ValueError:
    what = repr(text[at : at + 20]) if at < len(text) else "its end"
    return ValueError(f"is not JSON: unexpected {what} at character {at}")
