"""Dialogs and keys: a key that follows at once is not lost."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import Look

# The `close` event comes in a task of its own: what runs in microtasks after `close()` is earlier.
_KEY_AFTER_CLOSE = """key => {
  const close = HTMLDialogElement.prototype.close;
  HTMLDialogElement.prototype.close = async function () {
    HTMLDialogElement.prototype.close = close;
    close.call(this);
    for (let turn = 0; turn < 10; turn++) await null;
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  };
}"""
# One task: the next frame, in which effects run, is later.
_KEY_AND_QUESTION = """async key => {
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  for (let turn = 0; turn < 10; turn++) await null;
  return document.querySelector("dialog[open]") !== null;
}"""


def _by_button(look: Look, name: str) -> None:
    look.dialog().get_by_role("button", name=name, exact=True).click()


WAYS = {
    "button": lambda look: _by_button(look, "Close"),
    "cancel": lambda look: _by_button(look, "Cancel"),
    "escape": lambda look: look.page.keyboard.press("Escape"),
    "backdrop": lambda look: look.page.mouse.click(5, 5),
    "submitted": lambda look: _by_button(look, "Create queue"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_key_right_after_a_dialog_closed_opens_the_next_one(open_page, way):
    look = open_page("queues")
    look.button("Create queue").click()
    look.dialog().get_by_label("Name").fill(f"q{uuid.uuid4().hex[:8]}")
    look.page.evaluate(_KEY_AFTER_CLOSE, "c")
    WAYS[way](look)
    expect(look.dialog().get_by_label("Name")).to_have_value("")
    # Closed for good: the first one's late event did not close the second.
    look.page.keyboard.press("Escape")
    expect(look.page.locator("dialog")).to_have_count(0)


@pytest.mark.parametrize(("view", "key"), [("queues", "c"), ("overview", "?")])
def test_a_dialog_is_open_before_the_next_key(open_page, view, key):
    look = open_page(view)
    expect(look.page.get_by_role("heading", level=1)).to_be_visible()
    if key == "c":
        expect(look.button("Create queue")).to_be_visible()
    assert look.page.evaluate(_KEY_AND_QUESTION, key)
