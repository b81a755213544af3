"""What a shopper is shown of a charge of any kind leads to a page on which it can be paid."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from gateway_mock.app import serving
from gateway_mock.kinds import KINDS as MOCKS
from gateway_mock.kinds import Options
from gateway_mock.server import DEFAULT_SECRET, Mock
from gateway_mock.shopper import Profile
from payonce.gateways.client import open_session
from payonce.gateways.registry import build_gateway
from payonce.ports.gateway import NewCharge
from payonce.settings import load_settings
from tests.gateways.rigs import NotingMeter
from tests.support.kinds import KINDS, KindOfGateway
from tests.support.markup import read

WITH_PAGES = ["alipay", "boleto", "http", "paypal", "stripe", "wechatpay"]
"""All but PaymentIntents, which the shop's own page confirms."""


def charge_in(currency: str) -> NewCharge:
    """Return a charge to create."""
    return NewCharge(
        payment_id="p-1",
        order_id="o-1",
        amount=1999,
        currency=currency,
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
        notify_url="https://shop.example/v1/webhooks/real",
        return_url="https://shop.example/checkout/p-1?token=t",
    )


async def link_of(kind: KindOfGateway, mock: Mock, url: str) -> str:
    """Have a charge created through the adapter, as payonce does; return what its code opens."""
    told = kind.variables(mock, url)
    env = {f"PAYONCE_GATEWAYS__REAL__{name}": one for name, one in told.items()}
    async with open_session() as session:
        gateway = build_gateway(load_settings(env).gateways["real"], session, NotingMeter())
        created = await gateway.create(charge_in(kind.currency))
    link = created.qr or created.pay_url
    assert link is not None
    return link


@pytest.mark.parametrize("name", WITH_PAGES)
async def test_a_person_pays_on_the_page_behind_the_code(name: str) -> None:
    """Whatever the kind: a page with a button, and afterwards the books say so."""
    kind = KINDS[name]
    mock = kind.make()
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        link = await link_of(kind, mock, url)
        assert link.startswith(url)
        async with session.get(link) as answer:
            button = read(await answer.text()).all("button")[0]
        told = {"act": button["value"]} if "value" in button.attributes else {}
        async with session.post(link, data=told, allow_redirects=False) as answer:
            assert 303 == answer.status
        charge = mock.books.charges["p-1"]
        expected = "approved" if kind.needs_capture else "succeeded"
        assert expected == charge.status(mock.clock())
        async with session.get(f"{url}/pay/p-1", headers={"Accept-Language": "en"}) as answer:
            receipt = read(await answer.text())
        assert {"approved": "Agreed", "succeeded": "Paid"}[expected] == receipt.one("h1").words


@pytest.mark.parametrize("name", ["alipay", "http", "paypal", "stripe", "wechatpay"])
async def test_the_page_is_where_people_reach_it(name: str) -> None:
    """`--public-url` is for the phone that scans the code; payonce calls another address."""
    options = Options(DEFAULT_SECRET, None, Profile, public_url="http://wallet.example/")
    mock = MOCKS[name](options)
    async with serving(mock) as url:
        assert (await link_of(KINDS[name], mock, url)).startswith("http://wallet.example/")
