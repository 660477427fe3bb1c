"""Options that several commands have: each is declared once, as a field of a group.

    @dataclass(frozen=True, slots=True)
    class Placing:
        where: Where = None            # Where = Annotated[list[str] | None, typer.Option(...)]

| parameter of a command | the command line | what the command gets |
|---|---|---|
| `placing: Placing` | the options of the group | the group |
| `placing: Annotated[Placing, HIDDEN]` | the same, and no help names them | the group |
| `placing: Annotated[Placing, CHANGING]` | the same, and no help names defaults | the group |
| `changes: Annotated[Changes, Of(Placing)]` | the same, without defaults | what was given |

A hidden option is one that makes no sense for the command: `refuse` says why, which "no such
option" does not.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Final, TypeVar, get_args, get_type_hints

from quorate.runtime.errors import invalid

R = TypeVar("R")
G = TypeVar("G")

HIDDEN: Final = "hidden"
CHANGING: Final = "changing"
# What a help says of an option that is left out; of a change that is not what happens.
_DEFAULT: Final = re.compile(r" ?\\\[default: [^]]*\]")


class Of:
    """The groups whose options `Changes` are."""

    def __init__(self, *groups: type) -> None:
        self.groups = groups


@dataclass(frozen=True, slots=True)
class Changes:
    """The options that were given, by the names of their fields.

    A list that was given as one empty text is empty.
    """

    given: Mapping[str, Any]

    def part(self, group: type[G]) -> G:
        """A group with what was given of it, and its defaults for the rest."""
        return group(**{name: self.given[name] for name in self.names(group)})

    def names(self, *groups: type) -> list[str]:
        """The fields of these groups that were given."""
        return [name for group in groups for name in _names(group) if name in self.given]


def given(*groups: Any) -> Iterator[str]:
    """The names of the fields that are not what they are by default."""
    for group in groups:
        for one in fields(group):
            if getattr(group, one.name) != one.default:
                yield one.name


def option(name: str) -> str:
    """`--max-parallel` of `max_parallel`."""
    return f"--{name.replace('_', '-')}"


def refuse(names: Iterable[str], why: str | Mapping[str, str]) -> None:
    """Raise QuorateError (INVALID_ARGUMENT) that names the first of these options.

    Args:
        why: why it makes no sense. A mapping has the reasons of some options; others are possible.
    """
    for name in names:
        if isinstance(why, str):
            raise invalid(option(name), why)
        if name in why:
            raise invalid(option(name), why[name])


def with_groups(command: Callable[..., R]) -> Callable[..., R]:
    """`command` as Typer should see it: the options of each group stand for its parameter."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    makers: dict[str, tuple[list[str], Callable[[dict[str, Any]], Any]]] = {}
    for parameter in signature.parameters.values():
        options, make = _expanded(parameter.annotation)
        if make is None:
            parameters.append(parameter)
            continue
        makers[parameter.name] = [one.name for one in options], make
        parameters += options

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        for name, (names, make) in makers.items():
            kwargs[name] = make({one: kwargs.pop(one) for one in names if one in kwargs})
        return command(*args, **kwargs)

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    del wrapper.__wrapped__
    return wrapper


def _expanded(
    annotation: Any,
) -> tuple[list[inspect.Parameter], Callable[[dict[str, Any]], Any] | None]:
    """The options that stand for a parameter, and what makes its value; None: it is no group."""
    kind, *marks = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
    if kind is Changes:
        [of] = marks
        return [_changing(one) for group in of.groups for one in _options(group)], _changes
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return [], None
    options = _options(kind)
    if HIDDEN in marks:
        options = [_with(one, hidden=True) for one in options]
    if CHANGING in marks:
        options = [_without_default(one) for one in options]
    return options, lambda values: kind(**values)


def _changes(values: dict[str, Any]) -> Changes:
    return Changes(
        {
            name: [] if value == [""] else value
            for name, value in values.items()
            if value is not None
        }
    )


def _names(group: Any) -> list[str]:
    return [one.name for one in fields(group)]


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(group)
    ]


def _changing(parameter: inspect.Parameter) -> inspect.Parameter:
    """An option that changes nothing when it is left out."""
    kind, info = get_args(parameter.annotation)
    parameter = parameter.replace(default=None, annotation=_annotated(kind | None, info))
    return _without_default(parameter)


def _without_default(parameter: inspect.Parameter) -> inspect.Parameter:
    _, info = get_args(parameter.annotation)
    return _with(parameter, help=_DEFAULT.sub("", info.help or ""), show_default=False)


def _with(parameter: inspect.Parameter, **changes: Any) -> inspect.Parameter:
    kind, info = get_args(parameter.annotation)
    info = copy.copy(info)
    for name, value in changes.items():
        setattr(info, name, value)
    return parameter.replace(annotation=_annotated(kind, info))


def _annotated(kind: Any, info: Any) -> Any:
    return Annotated[kind, info]
