"""What the person in front of `quorate top` chose, and which keys change it. Pure.

The keys are those of top and htop where these have one: `q` quits, `<` and `>` choose the column to
sort by, `R` or `I` reverses, `T` sorts by time, `N` by name, arrows scroll, `Z` freezes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

PANELS: Final = ("queues", "nodes", "jobs", "tasks")

# Columns that each panel can be sorted by; the first one is the default.
SORTS: Final[dict[str, tuple[str, ...]]] = {
    "queues": ("RUNNING", "PENDING", "DONE/S", "LONGEST WAIT", "QUEUE"),
    "nodes": ("NODE", "RUNNING", "CPU", "MEM"),
    "jobs": ("AGE", "DONE", "SUBTASKS/S", "NAME"),
    "tasks": ("RAN", "NAME", "QUEUE", "NODE"),
}
# The largest value first; the others in the order of the alphabet.
_LARGEST_FIRST: Final = frozenset(
    {"RUNNING", "PENDING", "DONE/S", "LONGEST WAIT", "CPU", "MEM", "DONE", "SUBTASKS/S", "RAN"}
    | {"AGE"}
)

HELP: Final = (
    ("q, Ctrl-C", "Quit"),
    ("Tab", "Choose the next panel: its heading is highlighted"),
    ("< >", "Choose the column to sort the panel by"),
    ("R or I", "Reverse the order"),
    ("T, N", "Sort by time, by name"),
    ("C, M", "Sort nodes by CPU, by memory"),
    ("Up, Down", "Scroll the panel; also k and j, PgUp, PgDn, Home, End"),
    ("1 2 3 4", "Hide or show queues, nodes, jobs, tasks"),
    ("Z", "Freeze the picture, and go on"),
    ("Space", "Refresh now"),
    ("h or ?", "Show or hide this help"),
)


@dataclass(frozen=True, slots=True)
class View:
    """The choices."""

    panel: str = "tasks"
    """The one that keys are about."""
    sorts: tuple[str, ...] = tuple(SORTS[panel][0] for panel in PANELS)
    """The column of each panel, in the order of PANELS."""
    reversed: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    scrolls: tuple[int, ...] = (0,) * len(PANELS)
    """Rows of each panel above the first one that is shown."""
    frozen: bool = False
    help: bool = False
    refresh: bool = False
    """Whether the last key asks for a new sample at once."""
    quit: bool = False

    def sort_of(self, panel: str) -> str:
        """The column that a panel is sorted by."""
        return self.sorts[PANELS.index(panel)]

    def scroll_of(self, panel: str) -> int:
        """Rows above the first one that is shown."""
        return self.scrolls[PANELS.index(panel)]

    def descending(self, panel: str) -> bool:
        """Whether the largest value comes first."""
        return (self.sort_of(panel) in _LARGEST_FIRST) != (panel in self.reversed)


# Rows that a key scrolls. The view does not know the height: the drawing keeps it in bounds.
_SCROLLS: Final = {
    "up": -1,
    "k": -1,
    "down": 1,
    "j": 1,
    "pageup": -10,
    "pagedown": 10,
    "home": -(1 << 20),
    "end": 1 << 20,
}
_BY_LETTER: Final = {
    "T": {"tasks": "RAN", "jobs": "AGE", "queues": "LONGEST WAIT"},
    "N": {"tasks": "NAME", "jobs": "NAME", "queues": "QUEUE", "nodes": "NODE"},
    "C": {"nodes": "CPU"},
    "M": {"nodes": "MEM"},
}


def pressed(view: View, key: str, rows: dict[str, int]) -> View:
    """The choices after a key; `rows`: how many rows each panel has.

    A key that means nothing changes nothing.
    """
    view = replace(view, refresh=False)
    if key in ("q", "Q", "ctrl-c", "f10"):
        return replace(view, quit=True)
    if view.help:
        return replace(view, help=False)
    if key in ("h", "?", "f1"):
        return replace(view, help=True)
    if key in ("z", "Z"):
        return replace(view, frozen=not view.frozen)
    if key == " ":
        return replace(view, refresh=True)
    if key in ("tab", "backtab"):
        return _next_panel(view, 1 if key == "tab" else -1)
    if key in "1234" and len(key) == 1:
        return _toggled(view, PANELS[int(key) - 1])
    if key in ("<", ">", ",", ".", "left", "right"):
        choices = SORTS[view.panel]
        step = 1 if key in (">", ".", "right") else -1
        place = (choices.index(view.sort_of(view.panel)) + step) % len(choices)
        return _sorted(view, view.panel, choices[place])
    if key in ("R", "r", "I", "i"):
        return replace(view, reversed=view.reversed ^ {view.panel})
    if key.upper() in _BY_LETTER:
        # C and M are about nodes wherever one is.
        columns = _BY_LETTER[key.upper()]
        panel = view.panel if view.panel in columns else next(iter(columns))
        return _sorted(view, panel, columns[panel])
    if key in _SCROLLS:
        place = view.scroll_of(view.panel) + _SCROLLS[key]
        most = max(0, rows.get(view.panel, 0) - 1)
        return _with_scroll(view, view.panel, max(0, min(place, most)))
    return view


def _next_panel(view: View, step: int) -> View:
    shown = [panel for panel in PANELS if panel not in view.hidden]
    if not shown:
        return view
    place = shown.index(view.panel) + step if view.panel in shown else 0
    return replace(view, panel=shown[place % len(shown)])


def _toggled(view: View, panel: str) -> View:
    changed = replace(view, hidden=view.hidden ^ {panel})
    return _next_panel(changed, 1) if changed.panel in changed.hidden else changed


def _sorted(view: View, panel: str, column: str) -> View:
    sorts = tuple(
        column if name == panel else chosen for name, chosen in zip(PANELS, view.sorts, strict=True)
    )
    return _with_scroll(replace(view, sorts=sorts, panel=panel), panel, 0)


def _with_scroll(view: View, panel: str, rows: int) -> View:
    scrolls = tuple(
        rows if name == panel else place for name, place in zip(PANELS, view.scrolls, strict=True)
    )
    return replace(view, scrolls=scrolls)
