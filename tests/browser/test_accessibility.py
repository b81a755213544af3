"""What a screen reader and weak eyes find on the pages."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Street, says
from tests.support.browser import keep

CONTRASTS = """() => {
  const parts = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const found = parts(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parts(style.color)), light(ground(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.textContent.trim()]);
  }
  return found;
}"""
"""Contrast of every visible text with what is behind it (WCAG 2.2, relative luminance)."""

DUPLICATES = """() => {
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  return ids.filter((one, at) => ids.indexOf(one) !== at);
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll('a, button')]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 24)
  .map((one) => one.textContent)"""


async def check(page: Page) -> None:
    """Raise AssertionError where a page leaves somebody out."""
    weak = [found for found in await page.evaluate(CONTRASTS) if found[0] < 4.5]
    assert [] == weak
    assert [] == await page.evaluate(DUPLICATES)
    assert [] == await page.evaluate(SMALL_TARGETS)
    assert 1 == await page.get_by_role("heading", level=1).count()
    assert 1 == await page.get_by_role("main").count()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("document.documentElement.lang") in {"en", "zh-CN"}
    tree = await page.locator("body").aria_snapshot()
    unnamed = re.findall(r"^\s*- (?:link|button|img|heading)(?: \[.*\])?:?$", tree, re.MULTILINE)
    assert [] == unnamed, tree


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("zh", "light")])
async def test_nobody_is_left_out(street: Street, language: str, scheme: str) -> None:
    """On the way from the code to the end, on the smallest phone, in the light and in the dark."""
    visit = await street.shoppers.visit("small", language, color_scheme=scheme)
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    await expect(page.get_by_role("timer")).to_be_visible()
    await check(page)
    await keep(page, f"checkout-{language}-{scheme}")

    wallet = await visit.open(body["pay_url"])
    await check(wallet)
    await wallet.locator("button[value=decline]").click()
    await expect(page.locator("[data-state=failed]")).to_be_visible()
    await check(page)
    await page.locator("button[value=bank]").click()
    await expect(page.locator("[data-state=pay]")).to_be_visible()
    street.bank_is_paid()
    await expect(page.locator("[data-state=paid]")).to_be_visible()
    await check(page)


async def test_a_screen_reader_is_told_what_matters(street: Street) -> None:
    """Landmarks, the code's meaning, the time left, and the change when it comes."""
    visit = await street.shoppers.visit()
    body = await street.order()
    page = await visit.open(body["checkout_url"])
    await expect(page.locator("body")).to_match_aria_snapshot("""
      - banner:
        - paragraph: Checkout
        - link "中文"
      - main:
        - region "Scan to pay":
          - heading "Scan to pay" [level=1]
          - 'img "QR code: pay CN¥19.99 with Test wallet"'
          - link "Open on this device (opens in a new window)"
          - paragraph:
            - timer
        - region "Amount"
        - region "Way to pay":
          - list:
            - listitem: Test wallet chosen
            - listitem:
              - button "Bank & Sons"
      - contentinfo
      - status
    """)
    street.town.mock.pay(street.town.mock.books.charges[body["payment_id"]])
    await says(page, "Paid")
    await expect(page.locator("#news[role=status][aria-live=polite]")).to_have_text("Paid")
