"""A choice on the checkout page, while the page is being fetched anew."""

import asyncio
from urllib.parse import urlsplit

from playwright.async_api import Request, Route

from payonce.domain.application import Applied
from payonce.domain.payment import Payment, PaymentStatus
from payonce.handlers.apply import Shown
from tests.edge.till import opened, payment
from tests.store.making import NOW
from tests.support.browser import shopping
from tests.support.ports import HOST

OLD, NEW = "/checkout/p-1", "/checkout/p-2"


def is_refresh(request: Request) -> bool:
    """Say whether a page fetches a page anew."""
    is_fetch = request.resource_type == "fetch" and request.method == "GET"
    return is_fetch and request.redirected_from is None and "/checkout/" in request.url


async def test_what_was_fetched_before_a_choice_does_not_undo_it() -> None:
    """The page stays at the payment chosen; a code that is closed by now never comes back."""
    asked, may_come = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if not is_refresh(route.request):
            await route.continue_()
            return
        answer = await route.fetch()
        asked.set()
        await may_come.wait()
        await route.fulfill(response=answer)

    async with opened() as till, shopping() as shoppers:
        till.put(payment("p-1"), payment("p-2", gateway="bank"))
        pending = Payment("p-2", "o-1", "bank", 1999, "CNY", PaymentStatus.PENDING, "r", NOW)
        till.applications.result = Shown(Applied(pending, NOW, NOW))
        visit = await shoppers.visit()
        await visit.context.route(f"**{OLD}?*", hold)
        address = f"http://{HOST}:{till.port}{OLD}?token={await till.token()}"
        page = await visit.open(address)
        # There is neither stream nor order to look at here: the page is fetched anew instead.
        await asked.wait()
        await page.get_by_role("button", name="Bank & Sons").click()
        await page.wait_for_url(f"**{NEW}?*")
        async with page.expect_request(is_refresh) as following:
            may_come.set()
        assert NEW == urlsplit((await following.value).url).path
        visit.forgive_lost_answers()
        shoppers.check()
