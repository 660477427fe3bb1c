"""Message queues and streams in the dashboard: what is in them, and what can be done with them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, expect

import quorate
from quorate.client.transport.discovery import LocalCluster
from tests.support.auth import Locked
from tests.support.dashboard import Look
from tools.gateway_http import ask_json

OpenPage = Callable[..., Look]
QUEUE, STREAM = "MESSAGE_QUEUE_TYPE_QUEUE", "MESSAGE_QUEUE_TYPE_STREAM"
MADE = ("peeked", "peeked-dead", "letters", "spare", "log/book", "made", "made-log", "made-served")


def declare(cluster: LocalCluster, name: str, kind: str = QUEUE, **spec: Any) -> None:
    body = {"messageQueue": {"name": name, "spec": {"type": kind, **spec}}}
    ask_json(cluster, "v1/messageQueues", body)


def publish(cluster: LocalCluster, key: str, *bodies: bytes, **properties: Any) -> None:
    """To a message queue by its name."""
    publications = [
        {
            "message": {
                "routingKey": key,
                "body": base64.b64encode(body).decode(),
                "properties": properties,
            }
        }
        for body in bodies
    ]
    ask_json(cluster, "v1/messages:publish", {"publications": publications})


def address(name: str) -> str:
    return f"messages/{quote(f'queues/{name}', safe='')}"


def number(look: Look, name: str) -> Locator:
    """One of the numbers of a message queue's page."""
    return look.page.locator(f'.numbers [data-name="{name}"] dd')


@pytest.fixture(scope="module")
def queues(cluster: LocalCluster) -> Iterator[None]:
    """Message queues of several kinds, with and without messages."""
    declare(cluster, "peeked-dead")
    declare(
        cluster,
        "peeked",
        messageTtl="0.05s",
        deadLetterExchange="",
        deadLetterRoutingKey="peeked-dead",
    )
    declare(cluster, "letters", maxLength="1000", singleActiveConsumer=True)
    declare(cluster, "spare")
    declare(cluster, "log/book", STREAM, maxAge="3600s")
    publish(cluster, "peeked", b'{"id": 1}', headers={"tenant": {"text": "acme"}})
    publish(cluster, "letters", b"", b"\x00\x01\xff", "gr\u00fc\u00dfe \u202e".encode())
    publish(cluster, "log/book", b"first", b"second", b"third")
    stored = {"name": "billing", "offset": "1"}
    ask_json(cluster, f"v1/messageQueues/{quote('log/book', safe='')}:setOffset", stored)
    limits = {"name": "most", "pattern": "^letters$", "definition": {"maxLength": "7"}}
    ask_json(cluster, "v1/messagePolicies", {"policy": limits})
    yield
    ask_json(cluster, "v1/messagePolicies/most", method="DELETE")
    for one in ask_json(cluster, "v1/messageQueues?pageSize=1000")["messageQueues"]:
        if one["name"] in MADE:
            path = f"v1/messageQueues/{quote(one['name'], safe='')}"
            ask_json(cluster, path, method="DELETE")


def test_the_list_says_what_waits_in_each_queue(open_page: OpenPage, queues: None) -> None:
    look = open_page("overview")
    look.settled()
    look.page.keyboard.press("g")
    look.page.keyboard.press("m")
    expect(look.page.get_by_role("heading", name="Messages", level=1)).to_be_visible()
    card = look.card("letters")
    expect(card.locator('[data-label="Ready"]')).to_have_text("3")
    expect(card.locator('[data-label="Kind"]')).to_have_text("queue")
    expect(card.locator('[data-label="Consumers"]')).to_have_text("0")
    expect(card.locator('[data-label="Oldest"]')).to_contain_text("ago")
    # There are rates once it was read twice.
    expect(card.locator('[data-label="In/s"]')).to_have_text("0")
    expect(look.card("log/book").locator('[data-label="Kind"]')).to_have_text("stream")
    look.page.keyboard.press("/")
    look.page.keyboard.type("LETT")
    expect(look.page.locator("tbody")).to_have_count(1)
    look.page.get_by_role("link", name="letters", exact=True).click()
    expect(number(look, "Ready")).to_have_text("3")
    # What a policy makes of it.
    policy = look.page.locator("dt", has_text="Policy").locator("xpath=following-sibling::dd[1]")
    expect(policy).to_have_text("most")
    expect(look.page.get_by_text("7 ready messages")).to_be_visible()
    expect(look.page.get_by_text("one is active at a time")).to_be_visible()


def test_peeked_messages_stay_and_are_shown_as_text_or_hexadecimal(
    open_page: OpenPage, cluster: LocalCluster, queues: None
) -> None:
    look = open_page(address("letters"))
    messages = look.page.get_by_role("list", name="First messages").get_by_role("listitem")
    expect(messages).to_have_count(3)
    expect(messages.nth(0)).to_contain_text("The body is empty.")
    messages.nth(1).locator("summary").click()
    expect(messages.nth(1).locator("pre")).to_contain_text("00000000  00 01 ff")
    messages.nth(2).locator("summary").click()
    # What would turn the text around is replaced.
    expect(messages.nth(2).locator("pre")).to_have_text("gr\u00fc\u00dfe \ufffd")
    assert ask_json(cluster, "v1/messageQueues/letters")["messageQueue"]["ready"] == "3"

    look.go(address("peeked-dead"))
    expect(number(look, "Ready")).to_have_text("1")
    look.button("Read again").click()
    message = look.page.get_by_role("list", name="First messages").get_by_role("listitem")
    expect(message).to_contain_text("Header tenant")
    expect(message).to_contain_text("acme")
    death = look.page.get_by_role("table", name="Dead letter history").locator("tbody")
    expect(death.locator('[data-label="Dead lettered by"]')).to_have_text("peeked")
    expect(death.locator('[data-label="Reason"]')).to_have_text("expired")
    expect(death.locator('[data-label="Times"]')).to_have_text("1")
    expect(message).not_to_contain_text("x-first-death")


def test_a_stream_is_read_from_an_offset(open_page: OpenPage, queues: None) -> None:
    look = open_page(address("log/book"))
    expect(number(look, "Next offset")).to_have_text("3")
    expect(look.page.get_by_text("for 1 h")).to_be_visible()
    messages = look.page.get_by_role("list", name="First messages").get_by_role("listitem")
    expect(messages).to_have_count(3)
    look.page.get_by_label("From offset").fill("2")
    look.button("Read").click()
    expect(messages).to_have_count(1)
    expect(messages).to_contain_text("third")
    offsets = look.page.get_by_role("table", name="Named offsets").locator("tbody")
    expect(offsets.locator('[data-label="Name"]')).to_have_text("billing")
    expect(offsets.locator('[data-label="Offset"]')).to_have_text("1")
    expect(offsets.locator('[data-label="Behind"]')).to_have_text("2")
    look.page.get_by_label("From offset").fill("-1")
    look.button("Read").click()
    expect(look.page.get_by_role("alert")).to_contain_text("“-1” is not a whole number")
    expect(look.button("Purge")).to_have_count(0)


def test_messages_are_published_moved_and_purged_and_the_queue_is_deleted(
    open_page: OpenPage, queues: None
) -> None:
    look = open_page("messages")
    look.page.locator("[data-create]").get_by_role("button", name="Create message queue").click()
    dialog = look.dialog()
    dialog.get_by_label("Name").fill("made")
    dialog.get_by_label("Messages expire after").fill("soon")
    dialog.get_by_role("button", name="Create message queue").click()
    expect(look.field("Messages expire after")).to_contain_text("“soon” is not a duration")
    dialog.get_by_label("Messages expire after").fill("1h")
    dialog.get_by_label("Ready messages").fill("100")
    dialog.get_by_label("When it is full").select_option("New messages are refused")
    dialog.get_by_label("Dead letters").select_option("go to a message queue")
    dialog.get_by_label("Dead letter queue").fill("spare")
    dialog.get_by_label("Delivery limit").fill("5")
    dialog.get_by_label("Highest priority").fill("3")
    dialog.get_by_label("One consumer is active at a time").check()
    dialog.get_by_role("button", name="Create message queue").click()
    expect(look.page.get_by_role("heading", name="made", level=1)).to_be_visible()
    for words in ("after 1 h", "new messages are refused", "the default exchange", "spare"):
        expect(look.page.locator(".facts").first).to_contain_text(words)
    expect(look.button("Purge")).to_be_disabled()

    for body in ("one", "two", "three"):
        look.button("Publish message").click()
        look.dialog().get_by_label("Body").fill(body)
        look.dialog().get_by_label("Headers").fill("retries=3")
        look.dialog().get_by_role("button", name="Publish message").click()
        expect(look.dialog()).to_have_count(0)
    expect(look.page.get_by_text("durable in 1 message queue: made")).to_be_visible()
    expect(number(look, "Ready")).to_have_text("3")
    expect(look.page.get_by_text("Header retries").first).to_be_visible()

    look.button("Move").click()
    look.dialog().get_by_label("To message queue").fill("nowhere")
    look.dialog().get_by_role("button", name="Move messages").click()
    expect(look.field("To message queue")).to_contain_text("'nowhere' does not exist")
    look.dialog().get_by_label("To message queue").fill("spare")
    look.dialog().get_by_label("Number of messages").fill("1")
    look.dialog().get_by_role("button", name="Move messages").click()
    look.told("1 message was moved to spare. 2 are left in made.")
    expect(number(look, "Ready")).to_have_text("2")

    look.button("Purge").click()
    expect(look.dialog()).to_contain_text("2 ready messages will be deleted")
    look.dialog().get_by_role("button", name="Purge 2 messages").click()
    look.told("2 messages of made were deleted.")
    expect(number(look, "Ready")).to_have_text("0")

    look.button("Delete").click()
    look.dialog().get_by_role("button", name="Delete queue").click()
    look.told("The message queue made was deleted.")
    expect(look.card("spare").locator('[data-label="Ready"]')).to_have_text("1")
    expect(look.card("made")).to_have_count(0)


def test_a_stream_is_created_and_what_differs_is_refused(open_page: OpenPage, queues: None) -> None:
    look = open_page("messages")
    for age, refused in (("12h", False), ("24h", True)):
        look.go("messages")
        look.button("Create message queue").first.click()
        look.dialog().get_by_label("Type").select_option("Stream")
        look.dialog().get_by_label("Name").fill("made-log")
        look.dialog().get_by_label("Messages are kept for").fill(age)
        look.dialog().get_by_role("button", name="Create stream").click()
        if refused:
            expect(look.field("Name").get_by_role("alert")).to_be_visible()
            look.page.keyboard.press("Escape")
        else:
            expect(look.page.get_by_role("heading", name="made-log")).to_be_visible()
            expect(look.page.get_by_text("for 12 h")).to_be_visible()


def test_consumers_are_listed_with_what_they_have(
    open_page: OpenPage, cluster: LocalCluster, queues: None
) -> None:
    declare(cluster, "made-served")
    publish(cluster, "made-served", b"one", b"two")
    look = open_page(address("made-served"))
    expect(look.page.get_by_text("quorate consume made-served")).to_be_visible()
    with (
        quorate.Client(data_dir=cluster.data_dir) as client,
        client.consume("made-served", prefetch=5, name="worker-1") as consumer,
    ):
        delivery = next(iter(consumer))
        row = look.page.get_by_role("table", name="Consumers").locator("tbody")
        expect(row).to_contain_text("worker-1")
        expect(row.locator('[data-label="Unacknowledged"]')).to_have_text("2")
        expect(row.locator('[data-label="Prefetch"]')).to_have_text("5")
        expect(number(look, "Consumers")).to_have_text("1")
        delivery.ack()
    expect(number(look, "Consumers")).to_have_text("0")


def test_a_queue_that_is_gone_says_so(open_page: OpenPage) -> None:
    look = open_page(address("never-made"))
    expect(look.page.get_by_text("There is no such message queue")).to_be_visible()
    look.go("messages?vhost=nowhere")
    expect(look.page.get_by_role("alert")).to_contain_text("no virtual host “nowhere”")


def test_virtual_hosts_are_offered_where_there_are_several(
    open_page: OpenPage, cluster: LocalCluster, queues: None
) -> None:
    look = open_page("messages")
    expect(look.card("letters")).to_be_visible()
    choice = look.page.get_by_label("Virtual host")
    expect(choice).to_have_count(0)
    ask_json(cluster, "v1/virtualHosts", {"name": "shop"})
    try:
        look.page.reload()
        choice.select_option("shop")
        expect(look.page.get_by_role("heading", name="No message queues")).to_be_visible()
        expect(look.page.get_by_text("quorate mq create mail")).to_be_visible()
        look.button("Exchanges").click()
        expect(look.card("amq.direct")).to_be_visible()
        expect(choice).to_have_value("shop")
    finally:
        ask_json(cluster, "v1/virtualHosts/shop", method="DELETE")


def test_roles_see_what_they_may_do(open_page: OpenPage, guarded: Locked) -> None:
    shown = {
        "viewer": [],
        "operator": ["Move", "Purge", "Delete"],
        "submitter": ["Publish message", "Move", "Purge", "Delete"],
    }
    gateway = f"https://{guarded.gateway}/"
    token = guarded.make_token("submitter")
    look = open_page("messages", address=gateway, token=token, ignore_https_errors=True)
    look.button("Create message queue").first.click()
    look.dialog().get_by_label("Name").fill("guarded")
    look.dialog().get_by_role("button", name="Create message queue").click()
    expect(look.page.get_by_role("heading", name="guarded", level=1)).to_be_visible()
    for role, names in shown.items():
        token = guarded.make_token(role)
        seen = open_page(address("guarded"), address=gateway, token=token, ignore_https_errors=True)
        buttons = seen.page.locator(".view .title").get_by_role("button")
        expect(buttons).to_have_text(names)
        peeked = seen.page.get_by_role("heading", name="First messages")
        expect(peeked).to_have_count(1 if role == "submitter" else 0)
        seen.go("messages?show=exchanges")
        expect(seen.card("amq.topic")).to_be_visible()
        create = seen.page.locator("[data-create]").get_by_role("button", name="Create exchange")
        expect(create).to_have_count(0 if role == "viewer" else 1)
    look.button("Delete").click()
    look.dialog().get_by_role("button", name="Delete queue").click()
    look.told("was deleted")
