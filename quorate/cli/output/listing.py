"""Tables that fit the terminal without cutting what people copy.

A row is one line: line breaks in a name become a sign. Where the terminal is too narrow, first
values that have a short form take it (ids), then columns without any value (all 0 or `-`) are left
out, then the elastic columns (names, texts) are shortened, then whole columns are left out, the
least important first; any other value is never cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

# Between two columns.
_GAP = 2
# An elastic column is not made narrower than this: it is left out instead.
_LEAST = 8
_LEAST_WRAPPED = 16
_BREAKS = re.compile(r"[\r\n\v\f\t\x1c-\x1e\x85\u2028\u2029]+")
# Values of a column that says nothing.
_NOTHING = frozenset(("", "-", "0", "0 / -", "n/a"))
BREAK = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"


class Listing(Table):
    """A table in the house style.

    Args:
        columns: their headings.
        right: those aligned to the right.
        short: of columns whose values have a short form, what makes it.
        elastic: those that may be shortened, the first one first.
        wrapped: of the elastic ones those that go on in the next line, and are not cut.
        drop: those that may be left out, the least important first; by default all but the first
            column, the last one first. Of them those go first in which all values are 0 or `-`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        right: Sequence[str] = (),
        short: Mapping[str, Callable[[str], str]] | None = None,
        elastic: Sequence[str] = (),
        wrapped: Sequence[str] = (),
        drop: Sequence[str] | None = None,
    ) -> None:
        super().__init__(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
        self._headings = list(columns)
        self._right = frozenset(right)
        self._short = dict(short or {})
        self._elastic = list(elastic)
        self._wrapped = frozenset(wrapped)
        self._drop = list(reversed(columns[1:])) if drop is None else list(drop)
        self._cells: list[list[Text]] = []
        for heading in columns:
            self.add_column(heading, justify=self._justify(heading), no_wrap=True)

    def add_row(self, *cells: Any, **others: Any) -> None:
        """Add a row of strings or Texts; each is made one line."""
        texts = [_line(cell) for cell in cells]
        self._cells.append(texts)
        super().add_row(*texts, **others)

    def left_out(self, width: int) -> list[str]:
        """The headings that do not fit into `width` characters."""
        kept, _ = self._fitted(width)
        return [heading for heading in self._headings if heading and heading not in kept]

    def shortened(self, width: int) -> str:
        """The values that are shown in their short form in `width` characters, as one text."""
        rows = self._fitted(width)[1]
        if rows is self._cells:
            return ""
        indexes = [self._headings.index(heading) for heading in self._short]
        return " ".join(row[index].plain for row in rows for index in indexes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The columns that fit, as a plain table."""
        widths, rows = self._fitted(options.max_width)
        plain = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
        for heading, width in widths.items():
            elastic = heading in self._elastic and heading not in self._wrapped
            plain.add_column(
                heading,
                justify=self._justify(heading),
                no_wrap=elastic,
                overflow="ellipsis" if elastic else "fold",
                width=min(width, options.max_width),
            )
        indexes = [self._headings.index(heading) for heading in widths]
        for row in rows:
            plain.add_row(*(row[index] for index in indexes))
        yield plain

    def _justify(self, heading: str) -> Any:
        return "right" if heading in self._right else "left"

    def _fitted(self, room: int) -> tuple[dict[str, int], list[list[Text]]]:
        """Width of each column that is shown, in order; and the rows, in short form or not."""
        rows = self._cells
        widths = self._widths(rows)
        if self._short and sum(widths.values()) + _GAP * (len(widths) - 1) > room:
            rows = [
                [self._shortened(*pair) for pair in zip(self._headings, row, strict=True)]
                for row in rows
            ]
            widths = self._widths(rows)

        def excess() -> int:
            return sum(widths.values()) + _GAP * (len(widths) - 1) - room

        def shorten() -> None:
            for heading in self._elastic:
                if heading in widths and excess() > 0:
                    least = _LEAST_WRAPPED if heading in self._wrapped else _LEAST
                    least = min(widths[heading], max(least, cell_len(heading)))
                    widths[heading] = max(least, widths[heading] - excess())

        for heading in self._drop:
            if excess() > 0 and self._says_nothing(heading):
                del widths[heading]
        natural = dict(widths)
        shorten()
        for heading in self._drop:
            if excess() <= 0:
                break
            if heading in widths:
                del widths[heading]
                # What was shortened in vain gets its room back.
                widths.update({one: natural[one] for one in self._elastic if one in widths})
                shorten()
        # Too narrow all the same: the first column, what people copy, is folded last.
        for heading in list(widths)[:0:-1]:
            widths[heading] = max(cell_len(heading), widths[heading] - max(0, excess()))
        return widths, rows

    def _says_nothing(self, heading: str) -> bool:
        index = self._headings.index(heading)
        return all(row[index].plain in _NOTHING for row in self._cells)

    def _widths(self, rows: Sequence[Sequence[Text]]) -> dict[str, int]:
        return {
            heading: max([cell_len(heading), *(cell_len(row[index].plain) for row in rows)])
            for index, heading in enumerate(self._headings)
        }

    def _shortened(self, heading: str, cell: Text) -> Text:
        if heading not in self._short:
            return cell
        return Text(self._short[heading](cell.plain), style=cell.style)


class Details(Table):
    """Labels and values, a pair a line; a long value goes on in the next line."""

    def __init__(self) -> None:
        super().__init__(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
        self.add_column(style="bold", no_wrap=True)
        self.add_column(overflow="fold")

    def add_row(self, *cells: Any, **others: Any) -> None:
        """Add a label and its value. What looks like rich's markup is text."""
        texts = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*texts, **others)


def one_line(text: str) -> str:
    """The text with a sign for each run of line breaks and tabs."""
    return _BREAKS.sub(BREAK, text)


def _line(cell: Any) -> Text:
    if isinstance(cell, Text):
        if not _BREAKS.search(cell.plain):
            return cell
        return Text(one_line(cell.plain), style=cell.style)
    return Text(one_line(str(cell)))
