"""The wallet page: what a person sees and does, and that the books and callbacks follow."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway_mock.app import make_app, serving
from gateway_mock.server import Mock
from gateway_mock.wallet import ACTS, WORDS, format_amount
from tests.support.markup import Page, read
from tests.support.ports import HOST, free_port
from tests.support.waiting import eventually

CHARGE = {"payment_id": "p-1", "order_id": "o-1", "amount": 1999, "currency": "CNY"}


class Person:
    """Somebody with the wallet on his phone, beside a gateway whose time he moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.mock = Mock(clock=lambda: self.now)
        self.heard: list[dict[str, Any]] = []
        self.url = ""
        self.session: aiohttp.ClientSession

    def open_charge(self, **changed: Any) -> None:
        """Let there be a charge of which the shop is told."""
        self.mock.open_charge({**CHARGE, "notify_url": f"{self.url}/heard", **changed})

    async def hear(self, request: web.Request) -> web.Response:
        """Take a callback."""
        self.heard.append(await request.json())
        return web.Response()

    async def see(self, payment_id: str = "p-1", status: int = 200, lang: str = "en") -> Page:
        """Look at the page."""
        headers = {"Accept-Language": lang}
        async with self.session.get(f"{self.url}/pay/{payment_id}", headers=headers) as answer:
            assert status == answer.status
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            return read(await answer.text())

    async def do(self, act: str) -> Page:
        """Press a button that is there, and see what comes of it."""
        assert act in acts(await self.see())
        async with self.session.post(f"{self.url}/pay/p-1", data={"act": act}) as answer:
            assert 200 == answer.status
            return read(await answer.text())


def acts(page: Page) -> list[str]:
    """Return the acts that a page offers."""
    return [one["value"] for one in page.all("button", name="act")]


@pytest.fixture
async def person() -> AsyncIterator[Person]:
    """A person."""
    person = Person()
    app = make_app(person.mock)
    app.router.add_post("/heard", person.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    person.url = f"http://{HOST}:{port}"
    async with aiohttp.ClientSession() as person.session:
        yield person
    await person.mock.callbacks.close()
    await runner.cleanup()


def title(page: Page) -> str:
    """Return what a page says."""
    return page.one("h1").words


async def test_the_wallet_shows_what_is_to_be_paid(person: Person) -> None:
    """And that it is no true one."""
    person.open_charge()
    page = await person.see()
    assert "Pay the shop?" == title(page)
    assert ["o-1", "p-1"] == [one.words for one in page.all("dd")]
    assert "Pay 19.99 CNY" == page.one("button", value="pay").words
    assert "No real money moves." in page.one("p", **{"class": "fake"}).words
    assert list(ACTS["pending"]) == acts(page)
    chinese = await person.see(lang="zh-CN,zh;q=0.9")
    assert "zh-CN" == chinese.one("html")["lang"]
    assert WORDS["zh"]["pending"] == title(chinese)


async def test_paying_is_booked_and_told(person: Person) -> None:
    """The receipt stays, however often it is looked at; nothing can be paid twice."""
    person.open_charge()
    assert "Paid" == title(await person.do("pay"))
    assert 1999 == person.mock.books.balance(person.now)["captured"]
    await eventually(lambda: person.heard)
    assert ("p-1", "succeeded") == (
        person.heard[0]["data"]["payment_id"],
        person.heard[0]["data"]["status"],
    )
    receipt = await person.see()
    assert person.mock.books.charges["p-1"].gateway_ref in receipt.text
    assert [] == acts(receipt)
    async with person.session.post(f"{person.url}/pay/p-1", data={"act": "pay"}) as answer:
        assert "Paid" == title(read(await answer.text()))
    assert 1999 == person.mock.books.balance(person.now)["captured"]


async def test_declining_is_told(person: Person) -> None:
    """The payment has failed for good."""
    person.open_charge()
    page = await person.do("decline")
    assert ("Declined", []) == (title(page), acts(page))
    await eventually(lambda: person.heard)
    assert "failed" == person.heard[0]["data"]["status"]


async def test_paying_in_a_while(person: Person) -> None:
    """The page counts, the money comes then; a close before then stops it."""
    person.open_charge()
    page = await person.do("pay-soon")
    assert "The payment is on its way" == title(page)
    assert "It is made in 10 s. This page looks again by itself." in page.text
    person.mock.books.close("p-1", person.now)
    assert "Closed" == title(await person.see())

    person.open_charge(payment_id="p-2")
    person.mock.pay(person.mock.books.charges["p-2"], 10)
    person.now += 10
    assert "Paid" == title(await person.see("p-2"))


async def test_paying_late_reaches_a_closed_payment(person: Person) -> None:
    """Whether that was said before the close, or after it."""
    person.open_charge()
    await person.do("pay-late")
    person.mock.books.close("p-1", person.now)
    assert "The payment is on its way" == title(await person.see())
    person.now += 30
    assert "Paid" == title(await person.see())

    person.open_charge(payment_id="p-2")
    person.mock.books.close("p-2", person.now)
    assert ["pay-anyway"] == acts(await person.see("p-2"))
    async with person.session.post(f"{person.url}/pay/p-2", data={"act": "pay-anyway"}) as answer:
        assert "Paid" == title(read(await answer.text()))
    await eventually(lambda: "p-2" in {one["data"]["payment_id"] for one in person.heard})


async def test_an_expired_payment_is_paid_late_or_not_at_all(person: Person) -> None:
    """A button of before the expiry does nothing after it."""
    person.open_charge(expires_at="1970-01-12T13:46:50Z")
    person.now += 10
    page = await person.see()
    assert ("Expired", ["pay-anyway"]) == (title(page), acts(page))
    async with person.session.post(f"{person.url}/pay/p-1", data={"act": "pay"}) as answer:
        assert "Expired" == title(read(await answer.text()))
    assert "Paid" == title(await person.do("pay-anyway"))


async def test_what_was_paid_back_is_on_the_receipt(person: Person) -> None:
    """With its amount."""
    person.open_charge()
    await person.do("pay")
    person.mock.books.refund("rf-1", "p-1", 500, "", person.now)
    assert "5.00 CNY" == (await person.see()).all("dd")[-1].words


async def test_words_of_the_shop_stay_words(person: Person) -> None:
    """Ids are shown, not run."""
    person.open_charge(order_id="<script>x</script>")
    page = await person.see()
    assert [] == page.all("script")
    assert "<script>x</script>" in [one.words for one in page.all("dd")]


async def test_an_unknown_payment_has_a_page(person: Person) -> None:
    """404, without a button."""
    page = await person.see("p-none", status=404)
    assert ("No such payment", []) == (title(page), acts(page))


async def test_an_unknown_act_is_refused(person: Person) -> None:
    """422, which says what is allowed."""
    person.open_charge()
    async with person.session.post(f"{person.url}/pay/p-1", data={"act": "x"}) as answer:
        allowed = "act: 'x' is unknown; allowed: pay, decline, pay-soon, pay-late"
        assert (422, {"detail": allowed}) == (answer.status, await answer.json())


@pytest.mark.parametrize(
    ("public_url", "begins"),
    [("", f"http://{HOST}:"), ("https://phone.example/", "https://phone.example/pay/p-1")],
)
async def test_links_lead_to_the_wallet(public_url: str, begins: str) -> None:
    """Where shoppers reach it, which may not be where its customer does."""
    mock = Mock(public_url=public_url)
    headers = {"Authorization": f"Bearer {mock.secret}"}
    async with (
        serving(mock) as url,
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/charges", json=CHARGE) as answer,
    ):
        told = await answer.json()
    assert told["qr"] == told["pay_url"]
    assert told["qr"].startswith(begins)
    assert told["qr"].endswith("/pay/p-1")


def test_both_languages_have_the_same_words() -> None:
    """And each amount its currency's decimals."""
    assert set(WORDS["en"]) == set(WORDS["zh"])
    assert "1,999 JPY" == format_amount(1999, "JPY")
    assert "1.999 KWD" == format_amount(1999, "KWD")
