"""100,000 tasks in the list. How fast it answers: `python -m benchmarks dashboard`."""

import re

import pytest
from playwright.sync_api import expect

from benchmarks.gateway.dashboard import CHIP, MEASURE, QUEUE, SCROLL, TASKS, TEXT, fill


@pytest.fixture(scope="module")
def many(cluster):
    """Waiting tasks, the newest few of which were cancelled."""
    fill(cluster, TASKS)
    return cluster


def test_scrolling_and_filtering_draw_the_right_rows_and_few(open_page, many):
    look = open_page("tasks")
    page = look.page
    expect(page.get_by_test_id("total")).to_have_text(re.compile(r"100,\d\d\d on record"))
    rows = page.locator(".task-row[data-id]")
    expect(rows.first).to_be_visible()
    newest = rows.first.get_attribute("data-id")
    for _ in range(10):
        page.evaluate(MEASURE, [SCROLL, 6_000])
    assert rows.first.get_attribute("data-id") < newest
    assert page.locator(".task-row").count() < 120
    page.evaluate(MEASURE, [SCROLL, -60_000])
    expect(rows.first).to_have_attribute("data-id", newest)
    page.evaluate(MEASURE, [CHIP, "cancelled"])
    expect(page.locator(".task-row .badge", has_text="pending")).to_have_count(0)
    page.evaluate(MEASURE, [CHIP, "cancelled"])
    page.evaluate(MEASURE, [QUEUE, "many"])
    expect(look.row("task-99999")).to_be_visible()
    page.evaluate(MEASURE, [TEXT, "task-998"])
    expect(look.row("task-99899")).to_be_visible()
    expect(look.row("task-99999")).to_have_count(0)


def test_a_text_is_looked_for_in_all_of_them(open_page, many):
    look = open_page("tasks?queue=many")
    page = look.page
    page.get_by_label("Search tasks").fill("task-99999")
    expect(look.row("task-99999")).to_be_visible()
    page.get_by_label("Search tasks").fill("task-80000")
    expect(look.row("task-80000")).to_be_visible()
    expect(page.get_by_test_id("total")).to_contain_text("1 found in 100,")
    page.get_by_label("Search tasks").fill("no such task")
    expect(page.get_by_text("No task matches")).to_be_visible()


def test_all_of_them_are_cancelled_by_one_request_that_says_how_far_it_is(open_page, many):
    """The last test: nothing waits any longer then."""
    look = open_page("tasks?queue=many")
    page = look.page
    asked = []
    page.on(
        "request", lambda request: asked.append(request) if "/v1/tasks" in request.url else None
    )
    expect(look.row("task-99999")).to_be_visible()
    look.row("task-99999").get_by_role("checkbox").check()
    page.get_by_role("button", name="Select all that match the filter").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = look.dialog()
    title = re.compile(r"Cancel (\d\d,\d\d\d|100,000) tasks\?")
    expect(dialog).to_contain_text(title)
    asked.clear()
    done = page.evaluate_handle(
        """() => {
          const seen = new Set();
          new MutationObserver(() => {
            const bar = document.querySelector(".bulk progress");
            if (bar) seen.add(bar.value);
          }).observe(document.body, {subtree: true, childList: true, attributes: true});
          return seen;
        }"""
    )
    dialog.get_by_role("button", name=re.compile("^Cancel .* tasks$")).click()
    look.told(re.compile(r"tasks cancelled\."))
    changes = [one for one in asked if one.method == "POST" and "/v1/tasks" in one.url]
    assert [one.url.rpartition("/")[2] for one in changes] == ["tasks:cancelAll"]
    # One step for each page of 10,000.
    assert len(done.evaluate("seen => [...seen]")) > 5
    page.get_by_label("Search tasks").fill("")
    expect(page.locator(".task-row .badge", has_text="pending")).to_have_count(0)
