"""The picture of `quorate top`: header, panels and footer in exactly the height of the terminal.

Where the height is small, panels give up rows first (the tasks keep most), then whole panels are
left out: nodes first, then jobs, then queues. In 160 columns or more, queues and nodes share their
lines. No I/O.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from quorate.cli.output import render
from quorate.cli.top.panels import HIDDEN, Panel, bar, panels
from quorate.cli.top.sample import Rates, Sample
from quorate.cli.top.view import HELP, View
from quorate.runtime.sizes import size_text
from quorate.v1 import node_pb2

_WIDE: Final = 160
_GUTTER: Final = 2
# Title, headings, one row.
_LEAST: Final = 3
# The first one is left out first.
_GIVE_UP: Final = ("nodes", "jobs", "queues", "tasks")
_KEYS: Final = "q quit   Tab panel   < > sort   R reverse   Z freeze   h help"

_Lines = list[list[Segment]]


@dataclass(frozen=True, slots=True)
class Screen:
    """One picture."""

    sample: Sample
    rates: Rates
    view: View
    trouble: str = ""
    """Why there is no newer sample; empty while there is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Exactly as many lines as the terminal has, none of them too long."""
        width, height = options.max_width, options.height or console.height
        lines = self._lines(console, width, max(1, height))
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line

    def _lines(self, console: Console, width: int, height: int) -> _Lines:
        top = header(self.sample, self.rates, self.trouble, self.view, width)
        lines = _drawn(console, top[:height], width)
        room = height - len(lines)
        footer = _drawn(console, [Text(_KEYS, style="reverse")], width) if room > 1 else []
        room -= len(footer)
        if self.view.help:
            body = _drawn(console, _help(), width)
        else:
            body = self._body(console, width, room)
        blank = [Segment(" " * width)]
        return [*lines, *body[:room], *[blank] * (room - len(body)), *footer]

    def _body(self, console: Console, width: int, room: int) -> _Lines:
        shown = [p for p in panels(self.sample, self.rates, self.view) if self._wanted(p)]
        groups = _grouped(shown, width)
        lines: _Lines = []
        heights = shares(groups, self.view, room)
        spare = room - sum(heights)
        for group, height in zip(groups, heights, strict=True):
            if not height:
                continue
            if lines and spare > 0:
                lines.append([Segment(" " * width)])
                spare -= 1
            share = (width - _GUTTER * (len(group) - 1)) // len(group)
            blocks = [self._block(console, panel, share, height) for panel in group]
            gap = Segment(" " * _GUTTER)
            for row in zip(*blocks, strict=True):
                joined = list(row[0])
                for more in row[1:]:
                    joined += [gap, *more]
                lines.append(joined)
        return lines

    def _wanted(self, panel: Panel) -> bool:
        """Empty panels only where somebody looks at them."""
        return bool(panel.rows) or panel.name in (self.view.panel, *self.sample.hidden)

    def _block(self, console: Console, panel: Panel, width: int, height: int) -> _Lines:
        """A panel in exactly `height` lines."""
        style = "bold reverse" if panel.name == self.view.panel else "bold"
        rows = height - 2
        after = max(0, min(self.view.scroll_of(panel.name), panel.rows - rows))
        title = panel.title
        if panel.rows > rows > 0:
            title += f", rows {after + 1:,} to {after + rows:,}"
        lines = _drawn(console, [Text(title, style=style)], width)
        if panel.name in self.sample.hidden:
            lines += _drawn(console, [Text(HIDDEN, style="dim")], width)
        elif panel.rows and rows > 0:
            table = panel.listing(rows, after)
            lines += console.render_lines(table, console.options.update(width=width, height=None))
        elif not panel.rows:
            lines += _drawn(console, [Text("None.", style="dim")], width)
        blank = [Segment(" " * width)]
        return [*lines[:height], *[blank] * (height - len(lines))]


def header(sample: Sample, rates: Rates, trouble: str, view: View, width: int) -> list[Text]:
    """The cluster in two lines, one more where something is wrong or the picture is frozen."""
    cluster = sample.cluster
    leader = next((one.name for one in cluster.schedulers if one.leader), "none")
    began = render.stamp(cluster.leader_since)
    since = f" for {render.seconds(max(0.0, sample.now - began))}" if began else ""
    clock = time.strftime("%H:%M:%S", time.localtime(sample.now))
    first = Text.assemble(
        (f"{cluster.name}", "bold"),
        f"  {clock}  Leader ",
        (leader, "bold green" if not trouble else "bold"),
        f"{since}  Schedulers {len(cluster.schedulers)}  quorate {cluster.version}",
    )
    lines = [first, Text(_fitting(_figures(sample, rates), width))]
    if trouble:
        lines.append(Text(trouble, style="bold red"))
    elif view.frozen:
        lines.append(Text("Frozen. Z goes on.", style="yellow"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _figures(sample: Sample, rates: Rates) -> list[str]:
    """What the second line says, the most important first."""
    nodes = [node for node in sample.nodes if node.state != node_pb2.NODE_STATE_LOST]
    ready = sum(node.state == node_pb2.NODE_STATE_READY for node in nodes)
    slots, waiting = sum(node.slots for node in nodes), sum(node.stats.yielded for node in nodes)
    busy = max(0, sum(node.running for node in nodes) - waiting)
    figures = [
        f"Nodes {ready}/{len(nodes)}",
        f"Slots {bar(busy / slots if slots else 0.0)} {busy:,}/{slots:,}",
        f"Tasks {sample.cluster.live_tasks:,}",
    ]
    if sample.jobs:
        arrays = [job for job in sample.jobs if not job.spec.HasField("graph")]
        left = sum(job.counts.pending + job.counts.running for job in arrays)
        figures.append(f"Subtasks {left:,}")
    if rates.queues:
        figures.append(f"Done {sum(rates.queues.values()):,.0f}/s")
    return [*figures, f"etcd {size_text(sample.cluster.etcd.db_size)}"]


def _fitting(words: Sequence[str], width: int) -> str:
    """As many of the words as fit into a line."""
    line = ""
    for word in words:
        longer = f"{line}  {word}" if line else word
        if len(longer) > width:
            break
        line = longer
    return line


def shares(groups: Sequence[Sequence[Panel]], view: View, room: int) -> list[int]:
    """Lines for each group of panels; 0 for those that are left out."""
    wants = [max(2 + max(1, panel.rows) for panel in group) for group in groups]
    kept = set(range(len(groups)))
    order = sorted(kept, key=lambda at: min(_rank(panel, view) for panel in groups[at]))
    while kept and _LEAST * len(kept) > room:
        kept.discard(order.pop(0))
    given = [min(_LEAST, wants[at]) if at in kept else 0 for at in range(len(groups))]
    left = room - sum(given)
    # The rest goes to each in turn, a line at a time, until all have what they want: small panels
    # are shown whole, and large ones share.
    while left > 0:
        hungry = [at for at in reversed(order) if given[at] < wants[at]]
        if not hungry:
            break
        for at in hungry[:left]:
            given[at] += 1
        left -= min(left, len(hungry))
    return given


def _rank(panel: Panel, view: View) -> int:
    """How long a panel is kept in a low terminal: the chosen one the longest."""
    return len(_GIVE_UP) if panel.name == view.panel else _GIVE_UP.index(panel.name)


def _grouped(shown: Sequence[Panel], width: int) -> list[list[Panel]]:
    """Panels that share their lines."""
    if width < _WIDE or [panel.name for panel in shown[:2]] != ["queues", "nodes"]:
        return [[panel] for panel in shown]
    return [list(shown[:2]), *([panel] for panel in shown[2:])]


def _help() -> list[Text]:
    keys = max(len(key) for key, _ in HELP)
    return [Text.assemble((f"{key:<{keys}}  ", "bold"), words) for key, words in HELP]


def _drawn(console: Console, texts: Sequence[Text], width: int) -> _Lines:
    """Each text as one line of `width` characters."""
    lines: _Lines = []
    options = console.options.update(width=width, height=None)
    for text in texts:
        text.truncate(width, overflow="ellipsis", pad=True)
        lines += console.render_lines(text, options, style=Style())[:1]
    return lines
