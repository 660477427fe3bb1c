"""The list of 100,000 tasks in headless Chromium: how long opening, scrolling and filtering take.

A view is open at its first contentful paint. The other times are from the action to the frame in
which every row in sight has its task; where few match, or none does, to the frame that says so.
Needs Chromium.
"""

from __future__ import annotations

from typing import Final

from benchmarks.cluster import BenchCluster
from benchmarks.figures import Figure, Findings, at_most, percentile
from benchmarks.usage import load_average
from quorate.client.transport.discovery import LocalCluster
from tools.dashboard import build_ui
from tools.dashboard.browser import browser
from tools.gateway_http import ask_json

TASKS: Final = 100_000
_BATCH: Final = 10_000
_LIMIT: Final = 200.0
_OPENING_LIMIT: Final = 1_000.0
_ROUNDS: Final = 8

# Until the browser has drawn rows, every one of them with a task, after a change that `act` makes:
# as many as fit, or all there are.
MEASURE: Final = """
async ([script, argument]) => {
  const act = new Function("scroller", "argument", script);
  const ids = () => [...document.querySelectorAll(".task-row[data-id]")].map(row => row.dataset.id);
  const before = ids().join();
  const filled = () => {
    const scroller = document.querySelector(".task-scroll");
    if (!scroller) return before !== "" && document.querySelector(".empty") !== null;
    const all = !document.querySelector("[data-testid=total]").textContent.includes("+ found");
    const box = scroller.getBoundingClientRect();
    const inSight = [...scroller.querySelectorAll(".task-row")].filter(row => {
      const at = row.getBoundingClientRect();
      return at.bottom > box.top && at.top < box.bottom;
    });
    const enough = inSight.length > 15 || (all && inSight.length > 0);
    return enough && inSight.every(row => row.dataset.id) && ids().join() !== before;
  };
  const began = performance.now();
  act(document.querySelector(".task-scroll"), argument);
  while (!filled()) {
    await new Promise(resolve => requestAnimationFrame(resolve));
    if (performance.now() - began > 10000) throw new Error("not drawn within 10 s");
  }
  return performance.now() - began;
}
"""
SCROLL: Final = "scroller.scrollTop += argument"
CHIP: Final = """
[...document.querySelectorAll(".chip")].find(one => one.textContent === argument).click();
"""
QUEUE: Final = """
const select = document.querySelector("select[aria-label=Queue]");
select.value = argument;
select.dispatchEvent(new Event("change", {bubbles: true}));
"""

TEXT: Final = """
const search = document.querySelector("[data-search]");
search.value = argument;
search.dispatchEvent(new Event("input", {bubbles: true}));
"""
PAINTED: Final = """
() => new Promise(resolve => new PerformanceObserver(list =>
  list.getEntriesByName("first-contentful-paint").forEach(one => resolve(one.startTime))
).observe({type: "paint", buffered: true}))
"""
_VIEWS: Final = ("overview", "tasks")
_HAS_QUEUES: Final = "select[aria-label=Queue] option:text-is('many')"


def run(*, quick: bool, nodes: int, slots: int) -> Findings:
    """Milliseconds of each kind of action."""
    build_ui.ensure()
    tasks, rounds = (TASKS // 10, 2) if quick else (TASKS, _ROUNDS)
    with BenchCluster(nodes=nodes, slots=slots, gateway=True) as cluster, browser() as chromium:
        fill(cluster.local, tasks)
        opening = []
        for view in _VIEWS * rounds:
            with chromium.new_context() as fresh:
                one = fresh.new_page()
                one.goto(f"{cluster.local.dashboard}#/{view}")
                opening.append(float(one.evaluate(PAINTED)))
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{cluster.local.dashboard}#/tasks")
        page.wait_for_selector(".task-row[data-id]")
        page.wait_for_selector(_HAS_QUEUES, state="attached")

        def measured(actions: list[tuple[str, object]]) -> list[float]:
            return [float(page.evaluate(MEASURE, list(action))) for action in actions]

        # By lines, by whole pages faster than anybody reads, and back.
        scrolling: list[tuple[str, object]] = [(SCROLL, 1_500)] * 3
        scrolling += [(SCROLL, 6_000)] * 3 + [(SCROLL, -20_000)]
        filtering: list[tuple[str, object]] = [(CHIP, "cancelled"), (CHIP, "cancelled")]
        filtering += [(QUEUE, "many"), (TEXT, f"task-{tasks // 1000 - 2}"), (TEXT, "")]
        # Far down, one in all, and none.
        filtering += [(TEXT, "task-12"), (TEXT, f"task-{tasks // 5}"), (TEXT, "no such task")]
        filtering += [(TEXT, ""), (QUEUE, "few"), (QUEUE, "many"), (QUEUE, "")]
        times = {
            "opening": opening,
            "scrolling": measured(scrolling * rounds),
            "filtering": measured(filtering * rounds),
        }
    findings = Findings()
    for what, took in times.items():
        note = f"{tasks:,} tasks, {len(took)} times, most {max(took):.0f} ms"
        for share, target in ((0.5, None), (0.95, at_most(_LIMIT))):
            if target is not None and what == "opening":
                target = at_most(_OPENING_LIMIT)
            name = f"dashboard {what}, p{share * 100:.0f}"
            value = percentile(took, share)
            findings.figures.append(Figure(name, value, "ms", target, note, load_average()))
    return findings


def fill(cluster: LocalCluster, tasks: int) -> None:
    """Two paused queues: `many` has waiting tasks, `few` has 200, some of them cancelled."""
    for queue in ("many", "few"):
        ask_json(cluster, "v1/queues", {"queue": {"name": queue}})
        ask_json(cluster, f"v1/queues/{queue}:pause", {})
    names = [f"task-{number}" for number in range(tasks)]
    for start in range(0, tasks, _BATCH):
        _submit(cluster, "many", names[start : start + _BATCH])
    for task_id in _submit(cluster, "few", [f"other-{number}" for number in range(200)])[:40]:
        ask_json(cluster, f"v1/tasks/{task_id}:cancel", {})


def _submit(cluster: LocalCluster, queue: str, names: list[str]) -> list[str]:
    specs = [{"command": {"argv": ["true"]}, "name": name} for name in names]
    ids: list[str] = ask_json(cluster, f"v1/queues/{queue}/tasks:batchCreate", {"specs": specs})[
        "ids"
    ]
    return ids
