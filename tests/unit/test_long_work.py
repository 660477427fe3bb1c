"""What grows with a request goes in small steps, one caller after the other."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.runtime.errors import QuorateError
from scheduler.api.specs import check as spec_check
from scheduler.engine.long_work import lane as lanes
from scheduler.engine.long_work.json_steps import DEEPEST, shape, value
from scheduler.engine.long_work.lane import Lane


async def test_callers_take_turns_however_often_one_asks():
    lane, done = Lane(), []

    async def work(caller: str, number: int) -> None:
        async with lane.turn(caller):
            done.append(f"{caller}{number}")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks, lane.turn("first"):
        for number in range(4):
            tasks.create_task(work("a", number))
        for number in range(2):
            tasks.create_task(work("b", number))
        await asyncio.sleep(0)
    assert done == ["a0", "b0", "a1", "b1", "a2", "a3"]


async def test_who_goes_away_while_waiting_blocks_nobody():
    lane = Lane()
    async with lane.turn("a"):
        waiting = [asyncio.create_task(_enter(lane, "b")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait_for(waiting[2], 60)
    await asyncio.wait_for(_enter(lane, "c"), 5)


async def _enter(lane: Lane, caller: str) -> None:
    async with lane.turn(caller):
        await asyncio.sleep(0)


async def test_beyond_the_bound_of_a_caller_the_answer_says_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(lanes, "MOST_OF_CALLER", 2)
    lane = Lane()
    async with lane.turn("a"):
        waiting = [asyncio.create_task(_enter(lane, "a")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QuorateError) as told:
            await _enter(lane, "a")
        assert told.value.reason == "TOO_MANY_SEARCHES"
        assert told.value.retry_delay
        other = asyncio.create_task(_enter(lane, "b"))
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, other)


# -- JSON


def by_python(text: str) -> bool:
    """What a whole parse says of arguments."""
    try:
        spec_check._json(text, "f")
    except QuorateError:
        return False
    return True


def in_steps(text: str) -> bool:
    try:
        for _ in shape(text):
            pass
    except ValueError:
        return False
    return True


WORDS = (
    r"""[ ] { } , : "a" "args" "kwargs" "\u0061rgs" "\u00e9" "\x" "\" " 1 -1 01 1.5 1. .5 1e5"""
    r""" 1E-2 - true false null NaN Infinity tru [] {} [1] {"a":1} {"a":[]}"""
).split()
BLANKS = (" ", "\t", "\n", "\x0c", '"\x01"', '"é\ud800"')
PIECES = st.lists(st.sampled_from((*WORDS, *BLANKS)), max_size=9)
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, max_examples=400)
@given(
    PIECES, st.sampled_from(("{}", "[{}]", '{{"args":{}}}', '{{"args":[],"kwargs":{{"x":{}}}}}'))
)
def test_steps_accept_what_a_whole_parse_accepts_of_broken_texts(pieces: list[str], around: str):
    text = around.format("".join(pieces)) if around != "{}" else "".join(pieces)
    assert in_steps(text) == by_python(text), text


@settings(deadline=None, max_examples=30)
@given(st.lists(DOCUMENTS), st.dictionaries(st.text(), DOCUMENTS), st.sampled_from((None, 1)))
def test_steps_accept_every_good_document(args: list, kwargs: dict, indent: int | None):
    assert in_steps(json.dumps(args, indent=indent))
    assert in_steps(json.dumps({"args": args, "kwargs": kwargs}, indent=indent))


@pytest.mark.parametrize("escapes", [1, 15, 16, 17, 499, 500, 501, 1_001])
@pytest.mark.parametrize("last", ["", r"\u00e9x", r"\x", r"\u12", "\\"])
@pytest.mark.parametrize("around", ["[{}]", "[1,{},2]", '{{"args":[],"kwargs":{{{}:{}}}}}'])
def test_strings_of_many_escapes_are_read_as_a_whole_parse_reads_them(
    escapes: int, last: str, around: str
):
    text = '"' + r"a\n" * escapes + last + '"'
    whole = around.replace("{}", text, 2) if "{{" not in around else around.format(text, text)
    assert in_steps(whole) == by_python(whole)


@settings(deadline=None, max_examples=200)
@given(PIECES)
def test_steps_through_one_value_accept_what_a_whole_parse_accepts(pieces: list[str]):
    text = "".join(pieces)
    try:
        json.loads(text, parse_constant=_refuse_constant)
        good = True
    except ValueError:
        good = False
    try:
        list(value(text))
        stepped = True
    except ValueError:
        stepped = False
    assert stepped == good, text


@settings(deadline=None)
@given(DOCUMENTS, st.sampled_from((None, 1)))
def test_steps_through_one_value_accept_every_good_document(document: object, indent: int | None):
    list(value(json.dumps(document, indent=indent)))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


SIZE = 256 << 10
SHAPES = {
    "empty arrays": "[" + "[]," * (SIZE // 3) + "[]]",
    "arrays": "[" + "[1]," * (SIZE // 4) + "[]]",
    "objects": "[" + '{"a":1},' * (SIZE // 8) + "{}]",
    "numbers": "[" + "1," * (SIZE // 2) + "1]",
    "one string": '["' + "x" * SIZE + '"]',
    "escapes": '["' + "\\u0041" * (SIZE // 6) + '"]',
    "members": '{"kwargs":{' + ",".join(f'"k{n}":1' for n in range(SIZE // 12)) + "}}",
    "blanks": "[" + " " * SIZE + "1]",
    "no end": "[" + "1," * (SIZE // 2),
    "no end of a string": '["' + "\\n" * (SIZE // 2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_step_through_256_kib_takes_no_longer_than_some_milliseconds(name: str):
    steps, worst = shape(SHAPES[name]), 0.0
    while True:
        # Of this thread alone: the machine may be busy.
        began = time.thread_time()
        try:
            next(steps)
        except (StopIteration, ValueError):
            break
        finally:
            worst = max(worst, time.thread_time() - began)
    assert worst < 0.02


def test_arrays_nested_too_deep_are_refused_with_the_limit():
    assert in_steps("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(ValueError, match=str(DEEPEST)):
        list(shape("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)))
