"""Paths of `google.api.http` annotations: `/v1/queues/{queue}/tasks:batchCreate`.

    Template = "/" Segment { "/" Segment } [ ":" Verb ]
    Segment  = LITERAL | "{" FieldPath [ "=*" ] "}"

This is the grammar of google/api/http.proto without its multi-segment wildcards, which no path of
ours has; a template that needs them is refused when the gateway starts, not served wrongly.
Templates are values; nothing here fails later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LITERAL = re.compile(r"[A-Za-z0-9._~-]+")
_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_.]*)(?:=\*)?\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """A segment that is the value of a field, named by its path in the request message."""

    field: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed path."""

    text: str
    segments: tuple[str | Variable, ...]
    verb: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The field paths bound by the path, in its order."""
        return tuple(one.field for one in self.segments if isinstance(one, Variable))


def parse(text: str) -> Template:
    """Read a template. Raises ValueError for one outside the grammar above."""
    if not text.startswith("/"):
        raise ValueError(f"path template {text!r} does not begin with /")
    body, colon, verb = text[1:].partition(":")
    if colon and not _LITERAL.fullmatch(verb):
        raise ValueError(f"path template {text!r} has a bad verb")
    segments: list[str | Variable] = []
    for part in body.split("/"):
        if found := _VARIABLE.fullmatch(part):
            segments.append(Variable(found[1]))
        elif _LITERAL.fullmatch(part):
            segments.append(part)
        else:
            raise ValueError(f"path template {text!r}: segment {part!r} is not supported")
    template = Template(text, tuple(segments), verb)
    if len(set(template.fields)) < len(template.fields):
        raise ValueError(f"path template {text!r} binds a field twice")
    return template
