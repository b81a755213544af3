"""The mock of Stripe is as strict as Stripe, and writes what Stripe writes."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_mock.app import serving
from gateway_mock.shopper import Script
from gateway_mock.stripe import StripeMock

FIXTURES: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors/stripe/fixtures.json").read_text()
)["resources"]

SESSION = {
    "mode": "payment",
    "line_items[0][quantity]": "1",
    "line_items[0][price_data][currency]": "brl",
    "line_items[0][price_data][unit_amount]": "1999",
    "line_items[0][price_data][product_data][name]": "Order o-1",
    "allowed_payment_method_types[0]": "card",
    "success_url": "https://shop.example/",
    "cancel_url": "https://shop.example/",
    "metadata[payment_id]": "p-1",
    "metadata[order_id]": "o-1",
    "payment_intent_data[metadata][payment_id]": "p-1",
}
INTENT = {
    "amount": "1999",
    "currency": "brl",
    "allowed_payment_method_types[0]": "card",
    "metadata[payment_id]": "p-1",
    "expand[0]": "latest_charge",
}


class Counter:
    """Where one asks the mock, at a time of one's own."""

    def __init__(self, mock: StripeMock, url: str, session: aiohttp.ClientSession) -> None:
        self.mock = mock
        self.now = 1_750_000_000.0
        self._url = url
        self._session = session

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Return status and answer."""
        return (await self._ask("GET", path, None, headers))[:2]

    async def post(self, path: str, form: Mapping[str, str], key: str = "k") -> tuple[int, Any]:
        """Return status and answer."""
        return (await self._ask("POST", path, form, {"Idempotency-Key": key}))[:2]

    async def _ask(
        self, method: str, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> tuple[int, Any, Mapping[str, str]]:
        given = {
            "Authorization": f"Bearer {self.mock.door.secret_key}",
            "Stripe-Version": "2026-10-28.endive",
            **headers,
        }
        call = self._session.request(method, self._url + path, data=form, headers=given)
        async with call as answer:
            return answer.status, await answer.json(), answer.headers

    async def replayed(self, path: str, form: Mapping[str, str], key: str) -> bool:
        """Say whether an answer is one of before."""
        answer = await self._ask("POST", path, form, {"Idempotency-Key": key})
        return answer[2].get("Idempotent-Replayed") == "true"

    async def code(self, path: str, form: Mapping[str, str], key: str = "k") -> tuple[int, str]:
        """Return status and code, type or message of a refusal."""
        status, body = await self.post(path, form, key)
        error = body.get("error", {})
        return status, error.get("code") or error.get("param") or error.get("type", "")


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A mock that is served."""
    mock = StripeMock()
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        counter = Counter(mock, url, session)
        mock.clock = lambda: counter.now
        mock.door.keys._clock = mock.clock
        yield counter


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer sk_test_other"}, 401),
        ({"Stripe-Version": ""}, 400),
        ({"Stripe-Version": "latest"}, 400),
        ({}, 404),
    ],
)
async def test_who_asks_without_key_or_version_is_refused(
    counter: Counter, headers: dict[str, str], status: int
) -> None:
    """As Stripe refuses."""
    assert status == (await counter.get("/v1/payment_intents/pi_1", **headers))[0]


WRONG: list[tuple[dict[str, str], str]] = [
    ({"payment_method_types[0]": "card"}, "payment_method_types_no_longer_supported"),
    ({"expires_at": "1"}, "parameter_unknown"),
    ({"payment_intent_data[amount]": "1"}, "parameter_unknown"),
    ({"mode": "setup"}, "mode"),
    ({"mode": ""}, "parameter_missing"),
    ({"line_items[0][price_data][unit_amount]": "19.99"}, "parameter_invalid_integer"),
    ({"line_items[0][price_data][unit_amount]": "0"}, "unit_amount"),
    ({"line_items[0][price_data][unit_amount]": "100000000"}, "unit_amount"),
    ({"line_items[0][price_data][currency]": "BRL"}, "currency"),
    ({"line_items[0][price_data][currency]": "isk"}, "invalid_charge_amount_no_decimal_compatible"),
    ({"line_items[0][price_data][currency]": "kwd"}, "amount"),
    ({"line_items[1][quantity]": "1"}, "parameter_missing"),
    ({"allowed_payment_method_types[0]": "", "allowed_payment_method_types[2]": "card"}, ""),
    ({"success_url": "shop"}, "url_invalid"),
    ({"success_url": ""}, "parameter_missing"),
    ({"metadata[" + "x" * 41 + "]": "1"}, f"metadata[{'x' * 41}]"),
    ({"metadata[payment_id]": "x" * 501}, "metadata[payment_id]"),
    ({"expand[0]": "customer"}, "expand"),
    ({"payment_method_options[boleto][expires_after_days]": "61"}, "expires_after_days"),
]


@pytest.mark.parametrize(("changed", "code"), WRONG)
async def test_a_wrong_parameter_is_refused_by_name(
    counter: Counter, changed: dict[str, str], code: str
) -> None:
    """Nothing is created, and its key is free again."""
    status, told = await counter.code("/v1/checkout/sessions", {**SESSION, **changed})
    assert 400 == status
    assert told == code or not code
    assert {} == counter.mock.books.charges
    assert 200 == (await counter.post("/v1/checkout/sessions", SESSION))[0]


async def test_boleto_is_left_out_where_it_does_not_fit(counter: Counter) -> None:
    """In silence, unless nothing is left; its amounts have limits."""
    boleto = {**INTENT, "allowed_payment_method_types[1]": "boleto", "currency": "eur"}
    _, intent = await counter.post("/v1/payment_intents", boleto)
    assert ["card"] == intent["payment_method_types"]
    alone = {**INTENT, "allowed_payment_method_types[0]": "boleto"}
    assert 400 == (await counter.post("/v1/payment_intents", {**alone, "currency": "eur"}, "a"))[0]
    assert 400 == (await counter.post("/v1/payment_intents", {**alone, "amount": "499"}, "b"))[0]
    assert 200 == (await counter.post("/v1/payment_intents", alone, "c"))[0]


async def test_a_key_replays_its_first_answer_for_a_day(counter: Counter) -> None:
    """Then it is new; with other parameters, or at another endpoint, it is an error."""
    path = "/v1/payment_intents"
    first = await counter.post(path, INTENT)
    counter.mock.books.charges["p-1"].script = Script(pays_after_s=0.0)
    assert first == await counter.post(path, INTENT)
    assert await counter.replayed(path, INTENT, "k")
    changed = {**INTENT, "amount": "2000"}
    assert (400, "idempotency_error") == await counter.code(path, changed)
    assert (400, "idempotency_error") == await counter.code("/v1/refunds", INTENT)
    counter.now += 86_399.0
    assert await counter.replayed(path, INTENT, "k")
    counter.now += 1.0
    again = await counter.post(path, INTENT)
    assert again[1]["id"] != first[1]["id"]


async def test_a_post_without_a_key_is_refused(counter: Counter) -> None:
    """Stricter than Stripe: payonce always sends one."""
    assert 400 == (await counter.post("/v1/payment_intents", INTENT, ""))[0]


async def test_a_500_is_replayed_where_the_endpoint_had_begun(counter: Counter) -> None:
    """And forgotten where it had not."""
    counter.mock.scripts["p-1"] = Script(create_faults=("500", "500-after"))
    path = "/v1/payment_intents"
    assert 500 == (await counter.post(path, INTENT))[0]
    assert {} == counter.mock.books.charges
    assert 500 == (await counter.post(path, INTENT))[0]
    assert await counter.replayed(path, INTENT, "k")
    assert 1 == len(counter.mock.books.charges)


async def test_another_key_is_another_object(counter: Counter) -> None:
    """Metadata make nothing unique."""
    for key in ("a", "b"):
        assert 200 == (await counter.post("/v1/payment_intents", INTENT, key))[0]
    assert 2 == len(counter.mock.books.charges)


def shape_of(value: object) -> str:
    """Return the kind of a JSON value."""
    return "number" if type(value) in {int, float} else type(value).__name__


def strange(told: Mapping[str, Any], fixture: Mapping[str, Any]) -> list[str]:
    """Return the names that a fixture does not know, or knows as another kind."""
    open_kinds = {"NoneType", shape_of({})}
    return [
        name
        for name, value in told.items()
        if name not in fixture
        or (
            shape_of(value) != shape_of(fixture[name])
            and not {shape_of(value), shape_of(fixture[name])} & open_kinds
        )
    ]


KNOWN_LATER = {"failure_reason"}
"""In the API reference (refund object), and not in its fixture, which did not fail."""


async def test_objects_have_the_names_and_kinds_of_the_fixtures(counter: Counter) -> None:
    """Each that the mock answers or posts."""
    mock = counter.mock
    _, session = await counter.post("/v1/checkout/sessions", SESSION)
    mock.books.charges["p-1"].script = Script(pays_after_s=0.0, refunds="failed")
    ref = session["id"]
    _, paid = await counter.get(
        f"/v1/checkout/sessions/{ref}?expand[0]=payment_intent.latest_charge"
    )
    intent = paid["payment_intent"]
    form = {"payment_intent": intent["id"], "amount": "1", "metadata[refund_id]": "rf-1"}
    _, refund = await counter.post("/v1/refunds", form, "r")
    mock.dispute("p-1")
    _, disputes = await counter.get(f"/v1/disputes?payment_intent={intent['id']}")
    letter = mock.charge_letter(mock.books.charges["p-1"], counter.now)
    assert letter is not None
    told = {
        "checkout.session": paid,
        "payment_intent": intent,
        "charge": intent["latest_charge"],
        "refund": {name: one for name, one in refund.items() if name not in KNOWN_LATER},
        "dispute": disputes["data"][0],
        "event": json.loads(letter.content),
    }
    found = {kind: strange(one, FIXTURES[kind]) for kind, one in told.items()}
    assert {} == {kind: names for kind, names in found.items() if names}
    assert set(FIXTURES) == set(told)


async def test_a_session_has_a_payment_intent_once_somebody_tries_to_pay(counter: Counter) -> None:
    """And a link as long as it is open."""
    _, session = await counter.post("/v1/checkout/sessions", SESSION)
    path = f"/v1/checkout/sessions/{session['id']}"
    assert (None, "open", "unpaid") == tuple(
        session[name] for name in ("payment_intent", "status", "payment_status")
    )
    counter.mock.books.charges["p-1"].script = Script(pays_after_s=0.0)
    _, paid = await counter.get(path)
    assert ("complete", "paid", None) == (paid["status"], paid["payment_status"], paid["url"])
    assert 200 == (await counter.get(f"/v1/payment_intents/{paid['payment_intent']}"))[0]


async def test_only_open_sessions_expire(counter: Counter) -> None:
    """And a session's PaymentIntent is not cancelled."""
    _, session = await counter.post("/v1/checkout/sessions", SESSION)
    expire = f"/v1/checkout/sessions/{session['id']}/expire"
    assert "expired" == (await counter.post(expire, {}, "a"))[1]["status"]
    assert 400 == (await counter.post(expire, {}, "b"))[0]
    counter.mock.scripts["p-2"] = Script(pays_after_s=0.0)
    _, session = await counter.post(
        "/v1/checkout/sessions", {**SESSION, "metadata[payment_id]": "p-2"}, "c"
    )
    _, paid = await counter.get(f"/v1/checkout/sessions/{session['id']}")
    cancel = f"/v1/payment_intents/{paid['payment_intent']}/cancel"
    assert 400 == (await counter.post(cancel, {}, "d"))[0]


async def test_a_refused_cancel_shows_the_payment_intent(counter: Counter) -> None:
    """As it stands."""
    counter.mock.scripts["p-1"] = Script(pays_after_s=0.0)
    _, intent = await counter.post("/v1/payment_intents", INTENT)
    status, body = await counter.post(f"/v1/payment_intents/{intent['id']}/cancel", {}, "a")
    error = body["error"]
    assert (400, "payment_intent_unexpected_state", "succeeded") == (
        status,
        error["code"],
        error["payment_intent"]["status"],
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("metadata['payment_id']:'p-1'", 200),
        ("metadata['payment_id']:p-1", 400),
        ("payment_id:'p-1'", 400),
        ("", 400),
    ],
)
async def test_a_search_speaks_the_query_language(
    counter: Counter, query: str, status: int
) -> None:
    """Else it is refused."""
    await counter.post("/v1/payment_intents", INTENT)
    assert status == (await counter.get(f"/v1/payment_intents/search?query={query}"))[0]


async def test_refunds_stay_within_what_was_captured(counter: Counter) -> None:
    """Stripe's own limits, by their codes."""
    _, intent = await counter.post("/v1/payment_intents", INTENT)
    form = {"payment_intent": intent["id"], "amount": "2000"}
    assert 400 == (await counter.post("/v1/refunds", form, "a"))[0]
    counter.mock.books.charges["p-1"].script = Script(pays_after_s=0.0)
    assert 400 == (await counter.post("/v1/refunds", form, "b"))[0]
    assert 200 == (await counter.post("/v1/refunds", {**form, "amount": "1999"}, "c"))[0]
    told = await counter.code("/v1/refunds", {**form, "amount": "1"}, "d")
    assert (400, "charge_already_refunded") == told
    unknown = {**form, "payment_intent": "pi_none"}
    assert (404, "resource_missing") == await counter.code("/v1/refunds", unknown, "e")


async def test_the_same_refund_under_another_key_sends_the_money_again(counter: Counter) -> None:
    """A day later nothing but a question protects from it."""
    counter.mock.scripts["p-1"] = Script(pays_after_s=0.0)
    _, intent = await counter.post("/v1/payment_intents", INTENT)
    form = {"payment_intent": intent["id"], "amount": "5", "metadata[refund_id]": "rf-1"}
    for _ in range(2):
        assert 200 == (await counter.post("/v1/refunds", form, "r"))[0]
    assert 5 == counter.mock.books.charges["p-1"].refunded
    counter.now += 86_400.0
    assert 200 == (await counter.post("/v1/refunds", form, "r"))[0]
    assert 10 == counter.mock.books.charges["p-1"].refunded


async def test_reset_forgets_keys_too(counter: Counter) -> None:
    """All is as at the start."""
    await counter.post("/v1/payment_intents", INTENT)
    await counter.mock.reset()
    assert {} == counter.mock.papers
    assert not await counter.replayed("/v1/payment_intents", INTENT, "k")
