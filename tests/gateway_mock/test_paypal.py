"""The mock of PayPal refuses what PayPal refuses, and keeps its keys as long."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from gateway_mock.app import serving
from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import ROOT_FILE, keys_in
from tests.support.paypal import KEYS
from tests.support.paypal_schema import check

ORDER = {
    "intent": "CAPTURE",
    "purchase_units": [
        {
            "reference_id": "o-1",
            "custom_id": "p-1",
            "invoice_id": "p-1",
            "amount": {"currency_code": "USD", "value": "19.99"},
        }
    ],
    "payment_source": {
        "paypal": {
            "experience_context": {
                "return_url": "https://shop.example/back",
                "cancel_url": "https://shop.example/back",
            }
        }
    },
}


@dataclass
class Client:
    """Speaks to the mock as bytes go over the wire."""

    session: aiohttp.ClientSession
    mock: PaypalMock
    url: str
    token: str = ""

    async def log_in(self) -> None:
        """Get a token."""
        account = self.mock.account
        pair = base64.b64encode(f"{account.client_id}:{account.client_secret}".encode()).decode()
        status, body = await self.ask_token(f"Basic {pair}")
        assert 200 == status
        self.token = body["access_token"]

    async def ask_token(self, authorization: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token with these credentials."""
        headers = {"Authorization": authorization}
        form = {"grant_type": "client_credentials"}
        url = f"{self.url}/v1/oauth2/token"
        async with self.session.post(url, data=form, headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(
        self, path: str, data: Any, key: str = "k-1", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Post a body under a key."""
        given = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Prefer": "return=representation",
            **({"PayPal-Request-Id": key} if key else {}),
            **headers,
        }
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        async with self.session.post(self.url + path, data=content, headers=given) as answer:
            return answer.status, await answer.json()

    async def create(self, **changed: Any) -> tuple[int, dict[str, Any]]:
        """Create an order."""
        return await self.post("/v2/checkout/orders", ORDER | changed)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client with a token."""
    mock = PaypalMock(keys=KEYS, check=check)
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        client = Client(session, mock, url)
        await client.log_in()
        yield client


def issue(body: dict[str, Any]) -> str:
    """Return why something was refused."""
    return str(body["details"][0]["issue"])


async def test_a_well_made_order_is_created(client: Client) -> None:
    """The shopper is sent to a page of its own."""
    status, body = await client.create()
    assert (201, "PAYER_ACTION_REQUIRED") == (status, body["status"])
    assert "payer-action" in {one["rel"] for one in body["links"]}
    assert [] == client.mock.problems


async def test_a_wrong_secret_gets_no_token(client: Client) -> None:
    """As PayPal answers it."""
    status, body = await client.ask_token("Basic eDp5")
    assert (401, "invalid_client") == (status, body["error"])


async def test_without_a_token_nothing_is_done(client: Client) -> None:
    """Nor with one that has ended."""
    client.mock.tokens.clear()
    status, body = await client.create()
    assert (401, "AUTHENTICATION_FAILURE") == (status, body["name"])


async def test_an_order_with_a_payment_source_needs_a_key(client: Client) -> None:
    """A repeat would be a second order."""
    status, body = await client.post("/v2/checkout/orders", ORDER, key="")
    assert (400, "PAYPAL_REQUEST_ID_REQUIRED") == (status, issue(body))


def changed_unit(**changed: Any) -> dict[str, Any]:
    """Return an order whose unit differs."""
    [unit] = ORDER["purchase_units"]
    assert isinstance(unit, dict)
    return {"purchase_units": [{**unit, **changed}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"intent": "AUTHORIZE"},
        {"intent": "PAY"},
        {"processing_instruction": "ORDER_COMPLETE_ON_PAYMENT_APPROVAL"},
        {"purchase_units": []},
        changed_unit(custom_id=""),
        changed_unit(custom_id="x" * 128),
        changed_unit(amount={"currency_code": "USD"}),
        changed_unit(amount={"currency_code": "dollars", "value": "1.00"}),
        changed_unit(amount={"currency_code": "USD", "value": 19.99}),
        changed_unit(custom_ids="p-1"),
        {"payment_source": {"paypal": {"experience_context": {}}}},
        {"purchase_unit": []},
    ],
)
async def test_what_the_documents_do_not_allow_is_refused(
    client: Client, changed: dict[str, Any]
) -> None:
    """By the official schema, or because payonce must not do it."""
    status, body = await client.create(**changed)
    assert (400, "INVALID_REQUEST") == (status, body["name"])
    assert 1 == len(client.mock.problems)


@pytest.mark.parametrize(("currency", "value"), [("USD", "1.999"), ("JPY", "1.5"), ("HUF", "9.5")])
async def test_a_digit_too_many_is_refused(client: Client, currency: str, value: str) -> None:
    """HUF, JPY and TWD take no decimals."""
    status, body = await client.create(
        **changed_unit(amount={"currency_code": currency, "value": value})
    )
    assert (422, "DECIMAL_PRECISION") == (status, issue(body))


async def test_a_key_stands_for_one_request(client: Client) -> None:
    """The same again is answered the same, another one is refused."""
    _, first = await client.create()
    status, again = await client.create()
    assert (200, first) == (status, again)
    other = changed_unit(amount={"currency_code": "USD", "value": "20.00"})
    assert 422 == (await client.create(**other))[0]
    assert 1 == len(client.mock.books.charges)


async def test_nobody_captures_what_is_not_approved(client: Client) -> None:
    """Nor what does not exist."""
    _, order = await client.create()
    path = f"/v2/checkout/orders/{order['id']}/capture"
    status, body = await client.post(path, {}, "c-1")
    assert (422, "ORDER_NOT_APPROVED") == (status, issue(body))
    missing = "/v2/checkout/orders/5OTHER/capture"
    assert 404 == (await client.post(missing, {}, "c-2"))[0]


async def test_an_order_is_captured_once(client: Client) -> None:
    """Under the same key it is the same capture, under another one it is refused."""
    _, order = await client.create()
    client.mock.books.charges["p-1"].paid_at = client.mock.clock()
    path = f"/v2/checkout/orders/{order['id']}/capture"
    status, first = await client.post(path, {}, "c-1")
    assert (201, "COMPLETED") == (status, first["status"])
    assert (200, first) == await client.post(path, {}, "c-1")
    status, body = await client.post(path, {}, "c-2")
    assert (422, "ORDER_ALREADY_CAPTURED") == (status, issue(body))
    assert 1999 == client.mock.books.charges["p-1"].captured


async def test_a_refund_s_number_pays_once(client: Client) -> None:
    """Not above what was captured, and in its currency."""
    _, order = await client.create()
    client.mock.books.charges["p-1"].paid_at = client.mock.clock()
    _, captured = await client.post(f"/v2/checkout/orders/{order['id']}/capture", {}, "c-1")
    [capture] = captured["purchase_units"][0]["payments"]["captures"]
    path = f"/v2/payments/captures/{capture['id']}/refund"
    money = {"currency_code": "USD", "value": "19.99"}
    euros = {"currency_code": "EUR", "value": "19.99"}
    too_much = {"currency_code": "USD", "value": "20.00"}
    for amount, why in (
        (euros, "REFUND_CAPTURE_CURRENCY_MISMATCH"),
        (too_much, "REFUND_AMOUNT_EXCEEDED"),
    ):
        status, body = await client.post(path, {"amount": amount}, f"r-{why}")
        assert (422, why) == (status, issue(body))
    refund = {"amount": money, "custom_id": "rf-1", "invoice_id": "rf-1"}
    status, first = await client.post(path, refund, "r-1")
    assert (201, "COMPLETED") == (status, first["status"])
    assert (200, first) == await client.post(path, refund, "r-1")
    status, body = await client.post(path, refund, "r-2")
    assert (422, "DUPLICATE_INVOICE_ID") == (status, issue(body))
    assert 1999 == client.mock.books.charges["p-1"].refunded
    assert [] == client.mock.problems


async def test_keys_are_forgotten_in_time(client: Client) -> None:
    """Six hours for a capture: what is repeated then is told that it is done."""
    _, order = await client.create()
    client.mock.books.charges["p-1"].paid_at = client.mock.clock()
    path = f"/v2/checkout/orders/{order['id']}/capture"
    await client.post(path, {}, "c-1")
    now_s = client.mock.clock()
    client.mock.clock = lambda: now_s + 6 * 3_600 + 1
    status, body = await client.post(path, {}, "c-1")
    assert (422, "ORDER_ALREADY_CAPTURED") == (status, issue(body))


async def test_an_answer_that_breaks_the_schema_is_noticed(client: Client) -> None:
    """The mock is held to the documents too."""
    client.mock.scripts.clear()
    await client.create()
    client.mock.books.charges["p-1"].order_id = ""
    status, _ = await client.create()
    assert 200 == status
    charge = client.mock.books.charges["p-1"]
    url = f"{client.url}/v2/checkout/orders/{charge.gateway_ref}"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.session.get(url, headers=headers) as answer:
        assert 500 == answer.status
    assert 1 == len(client.mock.problems)


async def test_the_shopper_agrees_on_a_page_and_goes_back_to_the_shop(client: Client) -> None:
    """The link leads there; another order's page there is none."""
    _, order = await client.create()
    [link] = [one["href"] for one in order["links"] if one["rel"] == "payer-action"]
    async with client.session.get(link) as page:
        text = await page.text()
    assert "19.99 USD" in text
    assert "Agree and pay" in text
    async with client.session.post(link, allow_redirects=False) as answer:
        assert (303, "https://shop.example/back") == (answer.status, answer.headers["Location"])
    assert "approved" == client.mock.books.charges["p-1"].status(client.mock.clock())
    async with client.session.get(link) as page:
        assert "Agree and pay" not in await page.text()
    async with client.session.get(f"{client.url}/checkoutnow?token=5OTHER") as page:
        assert 404 == page.status


def test_keys_are_written_once_and_read_again(tmp_path: Path) -> None:
    """The worker's configuration names the root."""
    first, second = keys_in(tmp_path), keys_in(tmp_path)
    numbers = [
        one.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        for one in (first, second)
    ]
    assert numbers[0] == numbers[1]
    assert first.root_pem == second.root_pem == (tmp_path / ROOT_FILE).read_text("ascii")
    assert 0o600 == (tmp_path / "paypal-key.pem").stat().st_mode & 0o777
