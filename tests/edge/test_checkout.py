"""The checkout page over HTTP: who sees it, what it holds, what choosing does."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from payonce.domain.application import Applied
from payonce.domain.claim import Refusal
from payonce.domain.payment import Payment, PaymentStatus
from payonce.edge.pages.panel import State
from payonce.edge.pages.rendering import PAGE_HEADERS
from payonce.handlers.apply import Denied, Shown, Unsure
from tests.edge.till import Answer, opened, payment, refund
from tests.store.making import NOW

HOSTILE = "<script>alert(1)</script>\"'&"


def applied(payment_id: str) -> Applied:
    """Return a payment as those who applied see it."""
    pending = PaymentStatus.PENDING
    return Applied(Payment(payment_id, "o-1", "bank", 1999, "CNY", pending, "r", NOW), NOW, NOW)


def state_of(answer: Answer) -> str:
    """Return the state that a page shows."""
    return answer.page.one("div", id="page")["data-state"]


async def test_the_page_of_a_payment() -> None:
    """Order, amount, code, link, countdown, channels, and where its script listens."""
    async with opened() as till:
        till.put(payment())
        answer = await till.get()

        page, token = answer.page, await till.token()
        assert 200 == answer.status
        assert PAGE_HEADERS.items() <= dict(answer.headers).items()
        assert "en" == page.one("html")["lang"]
        assert "Scan to pay" == page.one("h1").words
        assert "Scan to pay · CN¥19.99" == page.one("title").words
        assert {"o-1"} == {one.words for one in page.all("dd")}
        label = "QR code: pay CN¥19.99 with WeChat Pay"
        assert label == page.one("div", id="code", role="img")["aria-label"]
        link = page.one("a", id="open")
        assert ("https://pay.example/1", "_blank") == (link["href"], link["target"])
        assert "noopener noreferrer" == link["rel"]
        assert "15:00" == page.one("time", id="left", role="timer").words
        facts = page.one("div", id="page")
        assert ("pay", "900") == (facts["data-state"], facts["data-left"])
        assert f"../v1/orders/o-1?token={token}" == facts["data-order"]
        assert f"../v1/orders/o-1/events?token={token}" == facts["data-events"]
        assert ["bank"] == [one["value"] for one in page.all("button", name="gateway")]
        assert "WeChat Pay" in page.one("span", **{"aria-current": "true"}).words
        assert "5" == page.one("meta", **{"http-equiv": "refresh"})["content"]


async def test_it_speaks_chinese() -> None:
    """Asked for by the address or by the browser; the other language is one click away."""
    async with opened() as till:
        till.put(payment())
        chinese = (await till.get(lang="zh")).page
        assert ("zh-CN", "请扫码支付") == (chinese.one("html")["lang"], chinese.one("h1").words)
        assert "¥19.99 CNY" == chinese.one("p", **{"class": "amount"}).words
        other = chinese.one("a", id="language")
        assert ("English", "en") == (other.words, other["lang"])
        assert ["en"] == parse_qs(urlsplit(other["href"]).query)["lang"]

        params = {"token": await till.token()}
        headers = {"Accept-Language": "zh-CN,en;q=0.5"}
        answer = await till.ask("GET", "/checkout/p-1", params=params, headers=headers)
        assert "请扫码支付" == answer.page.one("h1").words


@pytest.mark.parametrize("payment_id", ["p-1", "p-none", "p-other"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_has_no_token_learns_nothing(payment_id: str, method: str) -> None:
    """The same page for a wrong token, an unknown payment, and another order's payment."""
    async with opened() as till:
        till.put(payment())
        till.put(payment("p-other", order_id="o-2"), order_id="o-2")
        token = await till.token("o-1" if payment_id != "p-1" else "o-2")
        answers = [
            await till.ask(method, f"/checkout/{payment_id}", params=params)
            for params in ({"token": token}, {"token": "ot_x"}, {})
        ]
        [text] = {one.text for one in answers}
        assert {401} == {one.status for one in answers}
        assert "This link does not open a payment" == answers[0].page.one("h1").words
        assert "text/html; charset=utf-8" == answers[0].headers["Content-Type"]
        assert not any(one in text for one in ("o-1", "o-2", "19.99", payment_id))
        assert [] == till.applications.taken


async def test_hostile_words_stay_words() -> None:
    """Ids, labels and links come from outside."""
    async with opened() as till:
        till.put(
            payment(payment_id="p-1", gateway=HOSTILE, pay_url="javascript:alert(1)", qr=HOSTILE),
            refunds=[refund("HELD", currency=HOSTILE)],
            currency=HOSTILE,
        )
        till.shelf.orders["o-1"]["order_id"] = HOSTILE
        answer = await till.get(notice=HOSTILE)

        page = answer.page
        assert 200 == answer.status
        assert "alert(1)</script>" not in answer.text
        assert ["/static/checkout"] == [one["src"].split(".")[0] for one in page.all("script")]
        assert [HOSTILE] == [one.words for one in page.all("dd")][:1]
        assert [] == page.all("a", id="open")
        assert "javascript" not in answer.text
        assert [] == page.all("p", role="alert")
        assert "Bank & Sons" in [one.words for one in page.all("button")]


@pytest.mark.parametrize(
    ("changed", "of_order", "state"),
    [
        ({"status": "CREATED"}, {}, State.PREPARING),
        ({"qr": None, "pay_url": None}, {}, State.NO_CODE),
        ({"unresolved": True}, {}, State.UNKNOWN),
        ({"status": "SUCCEEDED", "mismatched": "amount"}, {}, State.CHECKING),
        ({"status": "CLOSED"}, {}, State.CLOSED),
        ({"status": "FAILED"}, {}, State.FAILED),
        ({"status": "SUCCEEDED"}, {"status": "PAID", "settled_by": "p-1"}, State.PAID),
        ({"status": "CLOSED"}, {"status": "PAID", "settled_by": "p-2"}, State.PAID_BY_ANOTHER),
        ({"status": "CLOSED"}, {"status": "CANCELLED"}, State.CANCELLED),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_every_state_has_its_page(
    changed: dict[str, Any], of_order: dict[str, Any], state: State, lang: str
) -> None:
    """In both languages; the code is gone where nothing can be paid, choices where none is due."""
    async with opened() as till:
        till.put(payment(**changed), **of_order)
        page = (await till.get(lang=lang)).page
        facts = page.one("div", id="page")
        assert state == facts["data-state"]
        assert [] == page.all("div", id="code")
        is_over = state in {State.PAID, State.PAID_BY_ANOTHER, State.CANCELLED}
        assert is_over == ("data-final" in facts.attributes)
        assert is_over == (not page.all("meta", **{"http-equiv": "refresh"}))
        assert (is_over or state is State.CHECKING) == (not page.all("form"))


async def test_what_expired_is_said_by_our_clock() -> None:
    """Also before the gateway has closed it; the same channel gives a new code."""
    async with opened() as till:
        till.put(payment())
        till.clock.move(900)
        page = (await till.get()).page
        assert "Time is up" == page.one("h1").words
        assert ["WeChat Pay: new code", "Bank & Sons"] == [
            one.words for one in page.all("button", name="gateway")
        ]


async def test_a_replaced_payment_leads_to_the_newer_one() -> None:
    """Two tabs: the first one says where the second one went."""
    async with opened() as till:
        till.put(payment(closing="superseded"), payment("p-2", gateway="bank"))
        link = (await till.get()).page.one("a", id="newest")
        to = urlsplit(link["href"])
        assert ("p-2", [await till.token()]) == (to.path, parse_qs(to.query)["token"])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("SUBMITTED", "CN¥19.99 is on its way back to you."),
        ("SUCCEEDED", "CN¥19.99 was paid back to you."),
        ("HELD", "CN¥19.99 is to be paid back to you; a person is looking after it."),
    ],
)
async def test_money_that_goes_back_is_told(status: str, words: str) -> None:
    """How much, and how far it is."""
    async with opened() as till:
        till.put(
            payment(status="SUCCEEDED"),
            status="PAID",
            settled_by="p-2",
            refunds=[refund(status)],
        )
        assert words == (await till.get()).page.one("p", **{"class": "refund"}).words


async def test_a_second_payment_is_followed_until_its_money_went_back() -> None:
    """Also before any refund is known: an open page tells of it when it comes."""
    async with opened() as till:

        async def is_followed(status: str, *refunds: dict[str, Any]) -> bool:
            mine = payment(status=status)
            till.put(mine, status="PAID", settled_by="p-2", refunds=list(refunds))
            page = (await till.get()).page
            facts = page.one("div", id="page")
            assert State.PAID_BY_ANOTHER == facts["data-state"]
            is_final = "data-final" in facts.attributes
            assert is_final == (not page.all("meta", **{"http-equiv": "refresh"}))
            return not is_final

        assert await is_followed("PENDING")
        assert await is_followed("SUCCEEDED")
        assert await is_followed("SUCCEEDED", refund("SUBMITTED"))
        assert not await is_followed("SUCCEEDED", refund("SUCCEEDED"))
        assert not await is_followed("CLOSED")


@pytest.mark.parametrize("kind", [Shown, Unsure])
async def test_choosing_applies_as_the_api_does(kind: type[Shown | Unsure]) -> None:
    """At the order's own price; the browser is sent to the page of what came of it."""
    async with opened() as till:
        till.put(payment())
        till.applications.result = kind(applied("p-2"))
        answer = await till.post({"gateway": "bank"})

        to = urlsplit(answer.headers["Location"])
        assert (303, "p-2") == (answer.status, to.path)
        assert {"token": [await till.token()]} == parse_qs(to.query)
        [application] = till.applications.taken
        assert ("o-1", "bank", None) == (
            application.order_id,
            application.gateway,
            application.amount,
        )
        assert NOW == application.arrived_at


@pytest.mark.parametrize(
    ("refusal", "notice"),
    [
        (Refusal.GATEWAY_REFUSED, "That way of paying was declined. Please choose another one."),
        (
            Refusal.GATEWAY_PAUSED,
            "That way of paying is not available right now. Please choose another one.",
        ),
        (Refusal.ORDER_PAID, None),
        (Refusal.SUPERSEDED, None),
    ],
)
async def test_what_cannot_be_chosen_is_said(refusal: Refusal, notice: str | None) -> None:
    """On the page that one came from; what the page says anyhow needs no notice."""
    async with opened() as till:
        till.put(payment(status="CLOSED"))
        till.applications.result = Denied(refusal)
        answer = await till.post({"gateway": "bank"})

        to = urlsplit(answer.headers["Location"])
        assert (303, "p-1") == (answer.status, to.path)
        query = {name: values[0] for name, values in parse_qs(to.query).items()}
        alerts = (await till.get(**query)).page.all("p", role="alert")
        assert ([notice] if notice else []) == [one.words for one in alerts]


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "not available right now"), ("zh", "暂时不可用")]
)
async def test_a_paused_gateway_cannot_be_chosen(lang: str, words: str) -> None:
    """It is shown as not available; the code that there is stays the chosen one."""
    async with opened() as till:
        till.put(payment())
        till.paused = {"wallet", "bank"}
        page = (await till.get(lang=lang)).page
        assert [] == page.all("button", name="gateway")
        assert f"Bank & Sons{words}" == page.one("span", **{"class": "chosen paused"}).words
        assert 1 == len(page.all("span", **{"aria-current": "true"}))
        assert 1 == len(page.all("div", id="code"))

        till.paused = {"wallet"}
        till.put(payment(status="CLOSED"))
        page = (await till.get(lang=lang)).page
        assert ["bank"] == [one["value"] for one in page.all("button", name="gateway")]
        assert words in page.one("span", **{"class": "chosen paused"}).words


@pytest.mark.parametrize(
    "data", [{}, {"gateway": "nobody"}, b"\xff&&==%zz", "&".join(f"a{n}=1" for n in range(99))]
)
async def test_a_form_of_another_shape_chooses_nothing(data: object) -> None:
    """The page says what may be chosen."""
    async with opened() as till:
        till.put(payment())
        answer = await till.post(data)
        assert (303, []) == (answer.status, till.applications.taken)
        assert "notice=unknown-channel" in answer.headers["Location"]


async def test_a_server_that_is_away_is_waited_for() -> None:
    """The browser asks again by itself; the page tells nobody to pay twice."""
    async with opened() as till:
        till.put(payment())
        till.shelf.is_away = True
        answer = await till.get()
        assert (503, "3", "3") == (
            answer.status,
            answer.headers["Refresh"],
            answer.headers["Retry-After"],
        )
        assert "do not pay again" in answer.page.one("p").words


async def test_a_file_upload_is_no_choice() -> None:
    """Forms of the page are plain ones."""
    async with opened() as till:
        till.put(payment())
        form = aiohttp.FormData()
        form.add_field("gateway", "bank", filename="x")
        assert 303 == (await till.post(form)).status
        assert [] == till.applications.taken
