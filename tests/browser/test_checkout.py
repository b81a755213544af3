"""The shopper's whole way, in a browser."""

import signal
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, expect

from payonce.domain.times import format_time
from tests.browser.conftest import Street, says
from tests.support.browser import Visit, keep
from tests.support.town import FAST_LADDER
from tests.support.waiting import eventually

OTHER = "Bank & Sons"


async def open_wallet(page: Page) -> Page:
    """Open on this device what the code says, in a tab of its own."""
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name="Open on this device").click()
    return await opened.value


async def withhold(visit: Visit, pattern: str) -> None:
    """Let no answer come from these addresses."""

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503)

    await visit.context.route(pattern, refuse)


@pytest.mark.parametrize(
    ("width", "source", "ladder"),
    [
        ("desktop", "webhook", ["5m"]),
        ("phone", "poll", FAST_LADDER),
        ("small", "webhook", ["5m"]),
    ],
)
async def test_a_shopper_pays(street: Street, width: str, source: str) -> None:
    """Scans, pays in the wallet, and sees the page turn: after the callback, or a poll alone."""
    if source == "poll":
        street.lose_callbacks()
    visit = await street.shoppers.visit(width)
    page = await visit.open((await street.order())["checkout_url"])
    await says(page, "Scan to pay")
    await expect(page).to_have_title("Scan to pay · CN¥19.99")
    await expect(
        page.get_by_role("img", name="QR code: pay CN¥19.99 with Test wallet")
    ).to_be_visible()
    await keep(page, f"checkout-pay-{width}")

    wallet = await open_wallet(page)
    await says(wallet, "Pay the shop?")
    await keep(wallet, f"wallet-{width}")
    await wallet.get_by_role("button", name="Pay 19.99 CNY", exact=True).click()
    await says(wallet, "Paid")

    await says(page, "Paid")
    await expect(page).to_have_title("Paid · CN¥19.99")
    await expect(page.get_by_role("status").first).to_have_text("Paid")
    await expect(page.get_by_role("button")).to_have_count(0)
    await expect(page.locator("time[datetime]")).not_to_contain_text("UTC")
    await keep(page, f"checkout-paid-{width}")
    story = (await street.shop.order("o-1")).body["timeline"]
    settled = [line["detail"]["source"] for line in story if line["kind"] == "payment.settled"]
    assert [source] == settled


@pytest.mark.parametrize("withheld", ["**/v1/orders/*/events?*", "**/v1/orders/*?*"])
async def test_the_page_turns_by_the_stream_or_by_looking(street: Street, withheld: str) -> None:
    """Either is enough."""
    visit = await street.shoppers.visit()
    await withhold(visit, withheld)
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    street.town.mock.pay(street.town.mock.books.charges[body["payment_id"]])
    await says(page, "Paid")
    assert {body["payment_id"]: "SUCCEEDED"} == await street.payments()
    visit.forgive_lost_answers()


async def test_two_tabs_turn_together(street: Street) -> None:
    """Whichever was paid from; one opened after the end says the same."""
    visit = await street.shoppers.visit()
    body = await street.order()
    url = body["checkout_url"]
    first, second = await visit.open(url), await visit.open(url)
    wallet = await open_wallet(second)
    await wallet.get_by_role("button", name="Pay 19.99 CNY", exact=True).click()
    for page in (first, second, await visit.open(url)):
        await says(page, "Paid")
    assert {body["payment_id"]: "SUCCEEDED"} == await street.payments()


async def test_another_channel_is_chosen(street: Street) -> None:
    """The page stays and shows the new payment; the earlier one is closed, as its tab says."""
    visit = await street.shoppers.visit()
    body = await street.order()
    page, other = [await visit.open(body["checkout_url"]) for _ in range(2)]
    await page.evaluate("window.neverLeft = true")
    await page.get_by_role("button", name=OTHER).click()

    await expect(
        page.get_by_role("img", name=f"QR code: pay CN¥19.99 with {OTHER}")
    ).to_be_visible()
    assert await page.evaluate("window.neverLeft")
    [chosen] = street.bank.books.charges.values()
    assert f"/checkout/{chosen.payment_id}?" in page.url
    assert street.town.mock.books.charges[body["payment_id"]].closed_at is not None
    await keep(page, "checkout-other-channel")

    await says(other, "This code was replaced")
    await keep(other, "checkout-replaced")
    await other.get_by_role("link", name="Go to the newer payment").click()
    await says(other, "Scan to pay")
    street.bank.pay(chosen)
    for tab in (page, other):
        await says(tab, "Paid")


async def test_a_payment_expires(street: Street) -> None:
    """The page says so by itself, and gives a new code."""
    visit = await street.shoppers.visit("phone")
    expires_at = format_time(datetime.now(UTC) + timedelta(seconds=15))
    page = await visit.open((await street.order(expires_at=expires_at))["checkout_url"])
    await expect(page.get_by_role("timer")).to_be_visible()
    await says(page, "Time is up")
    await keep(page, "checkout-expired")
    await page.get_by_role("button", name="Test wallet: new code").click()
    await says(page, "Scan to pay")


async def test_a_payment_is_declined(street: Street) -> None:
    """And paid by another channel."""
    visit = await street.shoppers.visit("phone")
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    wallet = await open_wallet(page)
    await wallet.get_by_role("button", name="Decline").click()
    await says(page, "The payment did not go through")
    await keep(page, "checkout-failed")
    await page.get_by_role("button", name=OTHER).click()
    await says(page, "Scan to pay")
    street.bank_is_paid()
    await says(page, "Paid")
    payments = await street.payments()
    assert "FAILED" == payments.pop(body["payment_id"])
    assert ["SUCCEEDED"] == list(payments.values())


async def test_late_money_for_a_paid_order_goes_back(street: Street) -> None:
    """The page of the payment that came too late tells of it."""
    visit = await street.shoppers.visit()
    first = await street.order()
    second = await street.order(gateway="bank")
    late = await visit.open(first["checkout_url"])
    street.bank.pay(street.bank.books.charges[second["payment_id"]])
    await says(late, "This order is paid")
    wallet = await visit.open(first["pay_url"])
    await wallet.get_by_role("button", name="Pay nevertheless: the money comes late").click()
    await says(wallet, "Paid")

    async def is_refunded() -> bool:
        refunds = (await street.shop.order("o-1")).body["refunds"]
        return [one["status"] for one in refunds] == ["SUCCEEDED"]

    await eventually(is_refunded)
    await late.reload()
    await expect(late.get_by_text("CN¥19.99 was paid back to you.")).to_be_visible()


async def test_a_lost_connection_heals(street: Street) -> None:
    """What was paid meanwhile is seen as soon as it is back."""
    visit = await street.shoppers.visit("phone")
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    await visit.context.set_offline(True)
    await expect(page.get_by_text("The connection is lost.")).to_be_visible()
    await keep(page, "checkout-offline")
    street.town.mock.pay(street.town.mock.books.charges[body["payment_id"]])
    await visit.context.set_offline(False)
    await says(page, "Paid")
    await expect(page.get_by_text("The connection is lost.")).to_be_hidden()
    visit.forgive_lost_answers()


async def test_a_worker_that_comes_back_is_found(street: Street) -> None:
    """The page asks until there is an answer."""
    visit = await street.shoppers.visit()
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    await street.worker.end(signal.SIGKILL)
    await expect(page.get_by_text("The connection is lost.")).to_be_visible()
    await street.worker.start()
    await expect(page.get_by_text("The connection is lost.")).to_be_hidden()
    street.town.mock.pay(street.town.mock.books.charges[body["payment_id"]])
    await says(page, "Paid")
    visit.forgive_lost_answers()


async def test_the_keyboard_is_enough(street: Street) -> None:
    """Each thing in turn, where the eye sees it; a new payment's heading is read next."""
    visit = await street.shoppers.visit()
    page = await visit.open((await street.order())["checkout_url"])
    for name in ("language", "open", "channel-bank"):
        await page.keyboard.press("Tab")
        focused = page.locator(f"#{name}:focus-visible")
        await expect(focused).to_have_css("outline-style", "solid")
    await page.keyboard.press("Enter")
    await expect(
        page.get_by_role("img", name=f"QR code: pay CN¥19.99 with {OTHER}")
    ).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()


async def test_the_page_works_without_script(street: Street) -> None:
    """It is fetched anew every few seconds; forms are forms."""
    visit = await street.shoppers.visit("phone", java_script_enabled=False)
    page = await visit.open((await street.order())["checkout_url"])
    await page.get_by_role("button", name=OTHER).click()
    await expect(
        page.get_by_role("img", name=f"QR code: pay CN¥19.99 with {OTHER}")
    ).to_be_visible()
    street.bank_is_paid()
    await says(page, "Paid")


async def test_the_token_leaves_the_page_for_nobody(street: Street) -> None:
    """Every request goes to the edge; the wallet is not told where one came from."""
    visit = await street.shoppers.visit()
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    wallet = await open_wallet(page)
    await says(wallet, "Pay the shop?")
    assert "" == await wallet.evaluate("document.referrer")
    assert await wallet.evaluate("window.opener === null")
    asked = [one for one in visit.asked if not one.url.startswith("data:")]
    elsewhere = [one for one in asked if not one.url.startswith(street.worker.url)]
    assert [body["pay_url"]] == [one.url for one in elsewhere]
    assert [None] == [await one.header_value("referer") for one in elsewhere]
    assert [] == await visit.context.cookies()


async def test_a_wrong_link_opens_nothing(street: Street) -> None:
    """And says so kindly."""
    visit = await street.shoppers.visit("phone", "zh")
    page = await visit.open((await street.order())["checkout_url"].replace("ot_", "ot_x"))
    await says(page, "该链接无法打开支付")
    await keep(page, "checkout-no-access")
    visit.forgive_lost_answers()
