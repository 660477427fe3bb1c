"""The dashboard of a cluster that asks its callers who they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.auth import FOREIGN, Locked
from tests.support.dashboard import Look


@pytest.fixture
def look(open_page: Callable[..., Look], guarded: Locked) -> Look:
    address = f"https://{guarded.gateway}/"
    opened = open_page("queues", address=address, token="", ignore_https_errors=True)
    # A handshake that is refused is an error in the browser's eyes.
    opened.outages_expected = True
    return opened


def sign_in(look: Look, token: str) -> None:
    look.page.get_by_label("Token:").fill(token)
    look.button("Sign in").click()


def test_a_token_is_asked_for_taken_and_kept_for_the_tab(look: Look, guarded: Locked):
    form = look.page.get_by_role("form", name="Sign in")
    expect(form).to_contain_text("This cluster asks who you are.")
    # Nothing was lost, and nothing is said of it.
    expect(look.page.locator(".banner")).to_have_count(1)
    expect(look.page.get_by_test_id("status")).to_have_text("not signed in")
    # Nor is a view shown that has nothing in it.
    nothing = look.page.get_by_role("heading", name="Sign in to see this cluster", level=1)
    expect(nothing).to_be_visible()
    expect(look.page.get_by_role("heading", name="Queues")).to_have_count(0)
    sign_in(look, guarded.expired)
    expect(form).to_contain_text("The cluster does not take this token")
    sign_in(look, guarded.admin)
    look.settled()
    expect(form).to_have_count(0)
    expect(nothing).to_have_count(0)
    expect(look.card(FOREIGN)).to_be_visible()
    look.page.reload()
    look.settled()
    expect(form).to_have_count(0)


def test_a_bound_caller_sees_its_own_queues(look: Look, guarded: Locked):
    sign_in(look, guarded.bound)
    look.settled()
    expect(look.card("mail")).to_be_visible()
    expect(look.card(FOREIGN)).to_have_count(0)


def test_the_frame_says_who_is_signed_in_and_signs_them_out(look: Look, guarded: Locked):
    who = look.page.get_by_role("group", name="Signed in")
    expect(who).to_have_count(0)
    sign_in(look, guarded.admin)
    look.settled()
    expect(who).to_contain_text("admin")
    who.get_by_role("button", name="Sign out").click()
    form = look.page.get_by_role("form", name="Sign in")
    expect(who).to_have_count(0)
    # Nothing of what was seen stays.
    expect(look.page.get_by_role("heading", name="Sign in to see this cluster")).to_be_visible()
    expect(form).to_contain_text("This cluster asks who you are.")
    # Without an identity provider there is no other way in.
    expect(look.page.get_by_role("link", name="identity provider")).to_have_count(0)


def test_an_identity_provider_is_offered_and_left(look: Look, guarded: Locked):
    """The gateway's part is in tests/integration/test_gateway_sign_in.py."""
    page = look.page
    session = {"signIn": True, "signedIn": False}
    page.route("**/auth/session", lambda route: route.fulfill(json=session))
    page.route("**/auth/login*", lambda route: route.fulfill(body="the provider's page"))

    def log_out(route):
        if not session.pop("works", False):
            route.fulfill(status=502, json={"detail": "the provider does not answer"})
            return
        session["signedIn"] = False
        route.fulfill(json={"endSessionUrl": ""})

    page.route("**/auth/logout", log_out)
    page.reload()
    link = page.get_by_role("link", name="Sign in with your identity provider")
    expect(link).to_be_visible()
    address = link.get_attribute("href")
    assert address is not None
    assert address.endswith("/auth/login?next=%2F%23%2Fqueues")
    session["signedIn"] = True
    page.reload()
    who = page.get_by_role("group", name="Signed in")
    who.get_by_role("button", name="Sign out").click()
    look.told("The provider does not answer.")
    expect(who).to_have_count(1)
    session["works"] = True
    with page.expect_request("**/auth/logout") as asked:
        who.get_by_role("button", name="Sign out").click()
    assert asked.value.method == "POST"
    expect(who).to_have_count(0)
