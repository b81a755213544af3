"""The operators' pages in a browser: nothing that they do breaks their own rules."""

import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.test_accessibility import CONTRASTS, DUPLICATES
from tests.support import troubles
from tests.support.browser import Shoppers, keep, shopping
from tests.support.town import Town, Worker, open_town, payments
from tests.support.troubles import OPERATORS, url_of


@dataclass
class Office:
    """A town in trouble, its worker, and the browsers of its operators."""

    town: Town
    worker: Worker
    browsers: Shoppers

    async def enter(self, name: str, width: str = "desktop", path: str = "/ops") -> Page:
        """Log an operator in by keyboard; return a page."""
        visit = await self.browsers.visit(width)
        page = await visit.open(url_of(self.worker) + path)
        await expect(page.get_by_label("Your token")).to_be_focused()
        await page.keyboard.type(OPERATORS[name])
        await page.keyboard.press("Enter")
        await page.wait_for_url(url_of(self.worker) + path)
        return page


@pytest.fixture
async def office(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Office]:
    """An office in which no browser complains."""
    async with (
        open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **troubles.ENV) as town,
        shopping() as browsers,
    ):
        worker = town.worker()
        await worker.start()
        yield Office(town, worker, browsers)
        browsers.check()


async def approve(page: Page, refund_id: str) -> None:
    """Approve a refund on the list: open its form, tick the box, send it."""
    row = page.get_by_role("row").filter(has_text=refund_id)
    await row.get_by_text("Approve", exact=True).first.click()
    await row.get_by_role("checkbox").check()
    await row.get_by_role("button", name="Approve").click()


async def test_two_people_approve_a_refund(office: Office) -> None:
    """The first is told that another has to; what the second does is seen by the first."""
    refund_id = await troubles.held(office.town, "big", 128_000)
    ann = await office.enter("ann", path="/ops/refunds")
    bob = await office.enter("bob", "phone", path="/ops/refunds")
    await keep(ann, "ops-refunds-desktop")
    await keep(bob, "ops-refunds-phone")

    await approve(ann, refund_id)
    await expect(ann.get_by_role("status").filter(has_text="second person")).to_be_visible()
    await expect(ann.get_by_text("You approved it already: another has to.")).to_be_visible()
    await expect(bob.get_by_text("approved by ann")).to_be_visible()

    await bob.get_by_text("Approve", exact=True).first.click()
    await bob.get_by_role("checkbox").check()
    await bob.get_by_role("button", name="Approve").click()
    await expect(bob.get_by_role("status").filter(has_text="Approved.")).to_be_visible()
    await troubles.waits(office.town, "big-2", "SUCCEEDED")
    await expect(ann.get_by_text("No refund waits for a person.")).to_be_visible()

    await ann.get_by_role("searchbox").fill(refund_id)
    await ann.keyboard.press("Enter")
    await expect(ann.get_by_role("heading", level=1)).to_have_text("Order o-big")
    await expect(ann.get_by_text("bob approved refund")).to_be_visible()
    await keep(ann, "ops-order-desktop")


async def test_what_is_typed_outlives_the_refreshes(office: Office) -> None:
    """Open forms, focus and words stay while rows come and go around them."""
    await troubles.held(office.town, "one", 8_800)
    second = await troubles.held(office.town, "two", 8_900)
    page = await office.enter("ann", path="/ops/refunds")
    row = page.get_by_role("row").filter(has_text=second)
    await row.get_by_text("Reject", exact=True).first.click()
    why = row.get_by_label("Why the money is kept")
    await why.fill("the shopper took a vou")
    await why.evaluate("(field) => field.setSelectionRange(4, 11)")

    await office.town.payonce(
        "resolve",
        await troubles.waits(office.town, "one-2"),
        *("--as", "kept", "--by", "eve", "--why", "seen"),
    )
    third = await troubles.held(office.town, "three", 9_000)
    await expect(page.get_by_role("row").filter(has_text=third)).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="one-2")).to_have_count(0)
    await expect(why).to_be_focused()
    assert [4, 11] == await why.evaluate("(field) => [field.selectionStart, field.selectionEnd]")
    await page.keyboard.press("End")
    await page.keyboard.type("cher")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").filter(has_text="Rejected.")).to_be_visible()
    said = await office.town.rows("SELECT rejected_why FROM refunds WHERE refund_id = $1", second)
    assert "the shopper took a voucher" == said[0][0]


async def test_the_dashboard_lives(office: Office) -> None:
    """It shows what happens without being asked to, and says when it cannot."""
    page = await office.enter("ann")
    tile = page.get_by_role("main").get_by_role("link", name="Mismatched")
    await expect(tile).to_contain_text("0")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await troubles.mismatched(office.town, "less")
    await expect(tile).to_contain_text("1")
    crowd = payments(5)
    office.town.open_charges(crowd)
    await office.town.publish("payment.initiated", crowd)
    line = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="mock")).first
    await expect(line.get_by_role("cell").nth(2)).to_have_text("5")
    await keep(page, "ops-dashboard-desktop")

    await office.worker.end(signal.SIGTERM)
    await expect(page.get_by_text("Not reached; trying again")).to_be_visible()
    await office.worker.start()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    for visit in office.browsers.visits:
        visit.forgive_lost_answers()


async def test_a_gateway_is_paused_and_resumed(office: Office) -> None:
    """With a reason and a name; the page shows both."""
    page = await office.enter("eve", "phone", path="/ops/gateways")
    await page.get_by_text("Pause", exact=True).first.click()
    await page.get_by_label("Why").fill("their night of works")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status").filter(has_text="is paused")).to_be_visible()
    card = page.get_by_role("region", name="Gateway mock").get_by_role("paragraph")
    await expect(card.filter(has_text="Paused by eve: their night of works")).to_be_visible()
    await keep(page, "ops-gateways-phone")
    await page.get_by_text("Resume", exact=True).first.click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("is asked again")).to_be_visible()
    await expect(page.get_by_text("resumed by eve")).to_be_visible()


async def test_an_ended_session_shows_the_way_back(office: Office) -> None:
    """The page stops asking, and its link leads to where it was."""
    page = await office.enter("ann", path="/ops/unresolved")
    other = await page.context.new_page()
    await other.goto(url_of(office.worker) + "/ops")
    await other.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    await page.get_by_role("link", name="Log in again").click()
    await keep(page, "ops-login-desktop")
    await page.get_by_label("Your token").fill(OPERATORS["ann"])
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Unresolved payments")
    for visit in office.browsers.visits:
        visit.forgive_lost_answers()


async def test_all_works_without_script(office: Office) -> None:
    """Forms, lists, the way back: the script only saves reloading."""
    refund_id = await troubles.held(office.town, "one", 8_800)
    visit = await office.browsers.visit(java_script_enabled=False)
    page = await visit.open(url_of(office.worker) + "/ops/refunds")
    await page.get_by_label("Your token").fill(OPERATORS["ann"])
    await page.get_by_role("button", name="Log in").click()
    await approve(page, refund_id)
    await expect(page.get_by_role("status").filter(has_text="Approved.")).to_be_visible()
    await troubles.waits(office.town, "one-2", "SUCCEEDED")
    await page.get_by_role("link", name="Reload").click()
    await expect(page.get_by_text("No refund waits for a person.")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "light"), ("phone", "dark")])
async def test_everybody_can_read_the_pages(office: Office, width: str, scheme: str) -> None:
    """Weak eyes, small screens, screen readers; by day and by night."""
    await troubles.held(office.town, "big", 128_000)
    await troubles.mismatched(office.town, "less")
    await troubles.parked(office.town)
    visit = await office.browsers.visit(width, color_scheme=scheme)
    page = await visit.open(url_of(office.worker) + "/ops")
    await check(page)
    await page.get_by_label("Your token").fill(OPERATORS["ann"])
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/ops")
    await office.town.payonce("gateways", "pause", "mock", "--by", "ann", "--why", "works")
    for name in ("", "refunds", "mismatched", "parked", "webhooks", "gateways", "orders/o-big"):
        await page.goto(f"{url_of(office.worker)}/ops/{name}".rstrip("/"))
        for form in await page.locator("summary").all():
            await form.click()
        await check(page)
        await keep(page, f"ops-{name.partition('/')[0] or 'dashboard'}-{width}-{scheme}")


async def check(page: Page) -> None:
    """Raise AssertionError where a page leaves somebody out."""
    weak = [found for found in await page.evaluate(CONTRASTS) if found[0] < 4.5]
    assert [] == weak, page.url
    assert [] == await page.evaluate(DUPLICATES), page.url
    assert 1 == await page.get_by_role("heading", level=1).count()
    assert 1 == await page.get_by_role("main").count()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    bare = "[...document.querySelectorAll('main input, main select')]"
    bare += ".filter((one) => one.type !== 'hidden' && !one.labels.length).length"
    assert 0 == await page.evaluate(bare), page.url
    assert 0 == await page.locator("table:not(:has(caption))").count(), page.url
    assert 0 == await page.locator("th:not([scope])").count(), page.url
