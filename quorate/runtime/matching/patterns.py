"""Regular expressions of strangers: searched in time that is linear in the name, or refused.

The standard library's engine can take years for one name. This one walks all alternatives at once
(Thompson 1968) and remembers each step it made, so that most names cost a look-up a character.
There are: literals, `.`, classes, `\\d \\w \\s`
and their opposites, groups, `|`, `* + ? {m,n}` (lazy ones, too), `^` and `$`. Back references and
looking around are refused.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final, NamedTuple

MOST_LENGTH: Final = 256
MOST_STATES: Final = 500
MOST_REPEATS: Final = 100
_MOST_DEPTH: Final = 20
# States that one pattern may visit in all, without those that are remembered, and tests of
# characters: some 0.1 s.
MOST_VISITS: Final = 500_000
# Parts that are built, with those that add no state: a few ms.
MOST_BUILDS: Final = 20_000
_MOST_REMEMBERED: Final = 10_000

_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdecimal,
    "w": lambda one: one.isalnum() or one == "_",
    "s": str.isspace,
}
_ESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}

Test = Callable[[str], bool]
# What is compiled: given the state behind it, it adds its own and returns the first of them.
Part = Callable[[int], int]


class BadPattern(ValueError):
    """It is not one of these, or costs too much; a sentence about it."""


class _State(NamedTuple):
    """Takes a character (`test`), or none; `then`: what may come next.

    `weight`: what looking at it costs: the members of a class are tested one by one.
    """

    then: tuple[int, ...]
    test: Test | None = None
    weight: int = 1
    begins: bool = False
    ends: bool = False


class Pattern:
    """A compiled expression. Raises BadPattern.

    Args:
        ignore_case: letters match in either case, as in lists of RabbitMQ's API.
        most_states: of one that has to be cheaper than others.
    """

    def __init__(
        self, text: str, *, ignore_case: bool = True, most_states: int = MOST_STATES
    ) -> None:
        if len(text) > MOST_LENGTH:
            raise BadPattern(f"has {len(text)} characters; use at most {MOST_LENGTH}")
        self._states: list[_State] = [_State(())]
        self._visits = 0
        self._ignore_case = ignore_case
        part = _Parser(text, self._states, ignore_case, most_states).read()
        self._first = part(0)
        self._known: dict[tuple[frozenset[int], str], frozenset[int] | None] = {}
        self._begin = self._closure([self._first], begins=True)
        self._again = self._closure([self._first], begins=False)

    def found_in(self, name: str) -> bool:
        """Whether it matches some part of a name. Raises BadPattern: it has cost too much."""
        states = self._begin
        if states is None:
            return True
        for one in name.lower() if self._ignore_case else name:
            key = states, one
            if key not in self._known:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[key] = self._step(states, one)
            after = self._known[key]
            if after is None:
                return True
            states = after
        return self._closure(states, begins=not name, ends=True) is None

    def _step(self, states: frozenset[int], one: str) -> frozenset[int] | None:
        self._count(sum([self._states[state].weight for state in states]))
        then = [
            following
            for state in states
            if (test := self._states[state].test) is not None and test(one)
            for following in self._states[state].then
        ]
        found = self._closure(then, begins=False)
        if found is None or self._again is None:
            return None
        return found | self._again

    def _closure(
        self, states: list[int] | frozenset[int], *, begins: bool, ends: bool = False
    ) -> frozenset[int] | None:
        """What is reached without a character; None: the end."""
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            number = waiting.pop()
            if number == 0:
                return None
            if number in found:
                continue
            found.add(number)
            state = self._states[number]
            passes = (begins or not state.begins) and (ends or not state.ends)
            if state.test is None and passes:
                waiting.extend(state.then)
        self._count(len(found))
        return frozenset(found)

    def _count(self, visits: int) -> None:
        self._visits += visits
        if self._visits > MOST_VISITS:
            raise BadPattern("takes too long; use a simpler one")


class _Parser:
    def __init__(
        self,
        text: str,
        states: list[_State],
        ignore_case: bool = True,
        most_states: int = MOST_STATES,
    ) -> None:
        self._ignore_case = ignore_case
        self._most_states = most_states
        self._text = text
        self._at = 0
        self._states = states
        self._built = 0

    def read(self) -> Part:
        part = self._either(0)
        if self._at < len(self._text):
            raise BadPattern(f"has a ')' too many at {self._at}")
        return part

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        one = self._peek()
        if not one:
            raise BadPattern("ends too early")
        self._at += 1
        return one

    def _add(self, state: _State) -> int:
        if len(self._states) >= self._most_states:
            raise BadPattern(f"has more than {self._most_states} states; use fewer repetitions")
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, part: Part, then: int) -> int:
        self._built += 1
        if self._built > MOST_BUILDS:
            raise BadPattern("is too large; use fewer repetitions")
        return part(then)

    def _either(self, depth: int) -> Part:
        if depth > _MOST_DEPTH:
            raise BadPattern(f"nests more than {_MOST_DEPTH} levels deep")
        ways = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence(depth))
        if len(ways) == 1:
            return ways[0]
        return lambda then: self._add(_State(tuple(way(then) for way in ways)))

    def _sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._one(depth)))

        def build(then: int) -> int:
            for part in reversed(parts):
                then = self._build(part, then)
            return then

        return build

    def _repeated(self, part: Part) -> Part:
        while (sign := self._peek()) and sign in "*+?{":
            least, most = self._bounds()
            part = self._times(part, least, most)
            if self._peek() == "?":
                # A lazy one finds something in the same names.
                self._at += 1
            elif self._peek() == "+":
                raise BadPattern("has a possessive repetition, which is not supported")
        return part

    def _bounds(self) -> tuple[int, int | None]:
        sign = self._take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        inside, closing, _ = self._text[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        digits = (low + high).isascii() and (low + high).isdigit()
        if not closing or not low or not digits:
            raise BadPattern(f"has a '{{' at {self._at - 1} that is no repetition such as {{2,5}}")
        self._at += len(inside) + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise BadPattern(f"repeats {{{inside}}}; use 0 to {MOST_REPEATS}, the lesser one first")
        return least, most

    def _times(self, part: Part, least: int, most: int | None) -> Part:
        def build(then: int) -> int:
            if most is None:
                place = self._add(_State(()))
                self._states[place] = _State((self._build(part, place), then))
                then = place
            else:
                end = then
                for _ in range(most - least):
                    then = self._add(_State((self._build(part, then), end)))
            for _ in range(least):
                before = len(self._states)
                then = self._build(part, then)
                if len(self._states) == before:
                    # It takes nothing, however often.
                    break
            return then

        return build

    def _one(self, depth: int) -> Part:
        sign = self._take()
        match sign:
            case "(":
                return self._group(depth)
            case "[":
                return self._class()
            case ".":
                return self._takes(lambda one: True)
            case "^":
                return lambda then: self._add(_State((then,), begins=True))
            case "$":
                return lambda then: self._add(_State((then,), ends=True))
            case "\\":
                return self._takes(self._escape())
            case "*" | "+" | "?" | "{":
                raise BadPattern(f"has nothing to repeat at {self._at - 1}")
        return self._takes(self._literal(sign))

    def _group(self, depth: int) -> Part:
        if self._peek() == "?":
            if self._text[self._at : self._at + 2] != "?:":
                raise BadPattern("has a group '(?...' that is not supported; use (...) or (?:...)")
            self._at += 2
        part = self._either(depth + 1)
        if self._peek() != ")":
            raise BadPattern("has a '(' that is not closed")
        self._at += 1
        return part

    def _takes(self, test: Test, weight: int = 1) -> Part:
        return lambda then: self._add(_State((then,), test, weight))

    def _escape(self) -> Test:
        sign = self._take()
        if (known := _CLASSES.get(sign.lower())) is not None:
            return known if sign.islower() else lambda one: not known(one)
        if sign in _ESCAPED:
            return self._literal(_ESCAPED[sign])
        if sign in string.ascii_letters or sign in string.digits:
            raise BadPattern(f"has '\\{sign}', which is not supported")
        return self._literal(sign)

    def _class(self) -> Part:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Test] = []
        while (sign := self._take()) != "]" or not tests:
            if sign == "\\":
                tests.append(self._escape())
                continue
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                last = self._take()
                if last == "\\":
                    last = self._take()
                if last < sign:
                    raise BadPattern(f"has the range {sign}-{last}, which is the wrong way round")
                tests.append(self._range(sign, last))
                continue
            tests.append(self._literal(sign))
        if negated:
            return self._takes(lambda one: not any(test(one) for test in tests), len(tests))
        return self._takes(lambda one: any(test(one) for test in tests), len(tests))

    def _literal(self, sign: str) -> Test:
        return (sign.lower() if self._ignore_case else sign).__eq__

    def _range(self, first: str, last: str) -> Test:
        if not self._ignore_case:
            return lambda one: first <= one <= last
        # Names are in lower case by then.
        return lambda one: first <= one <= last or first <= one.upper() <= last
