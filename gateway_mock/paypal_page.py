"""Where the shopper agrees: a page with one button, in place of PayPal's own."""

from dataclasses import replace
from html import escape
from typing import Protocol

from aiohttp import web

from gateway_mock.books import Charge
from gateway_mock.paypal_views import money_json

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Approve a payment</title>
<style>
body {{ font: 18px/1.5 system-ui, sans-serif; margin: 0; background: #f4f6f8; color: #1a2733 }}
main {{ width: min(20rem, 100% - 6rem); margin: 12vh auto; padding: 2rem;
  background: #fff; border-radius: 12px; box-shadow: 0 2px 12px #0002 }}
h1 {{ font-size: 1rem; margin: 0; color: #5b6b7a }}
strong {{ display: block; font-size: 2.2rem; margin: .3rem 0 1.2rem }}
button {{ width: 100%; padding: .8rem; font: inherit; font-weight: 600; border: 0;
  border-radius: 999px; background: #0b5cd6; color: #fff; cursor: pointer }}
button:focus-visible {{ outline: 3px solid #f5a623; outline-offset: 2px }}
p {{ margin: 1.2rem 0 0; font-size: .85rem; color: #5b6b7a }}
</style>
<main>
<h1>Mock of PayPal</h1>
<strong>{amount}</strong>
{action}
<p>Order {order}. No money moves here, in any sense.</p>
</main>
</html>
"""
_BUTTON = '<form method="post"><button>Agree and pay</button></form>'


class Bank(Protocol):
    """What the page knows of its mock."""

    return_urls: dict[str, str]

    def clock(self) -> float:
        """Return the time in seconds since 1970."""
        ...

    def order(self, ref: str) -> Charge | None:
        """Return the charge of an order."""
        ...

    def plan_callback(self, charge: Charge, delay_s: float) -> None:
        """Tell of what became of a charge."""
        ...


def page_routes(bank: Bank) -> list[web.RouteDef]:
    """Return the routes of the page."""
    page = Page(bank)
    return [web.get("/checkoutnow", page.show), web.post("/checkoutnow", page.approve)]


class Page:
    """Shows an order, and takes the shopper's word."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    async def show(self, request: web.Request) -> web.Response:
        """Show what is to be paid."""
        charge = self._find(request)
        waits = charge.status(self._bank.clock()) == "pending"
        money = money_json(charge.amount, charge.currency)
        text = _PAGE.format(
            amount=escape(f"{money['value']} {money['currency_code']}"),
            action=_BUTTON if waits else "There is nothing left to agree to.",
            order=escape(charge.order_id),
        )
        return web.Response(text=text, content_type="text/html")

    async def approve(self, request: web.Request) -> web.Response:
        """Agree, and go back to the shop."""
        charge = self._find(request)
        elapsed_s = self._bank.clock() - charge.created_at
        charge.script = replace(charge.script, pays_after_s=elapsed_s)
        self._bank.plan_callback(charge, 0.0)
        raise web.HTTPSeeOther(self._bank.return_urls[charge.payment_id])

    def _find(self, request: web.Request) -> Charge:
        charge = self._bank.order(request.query.get("token", ""))
        if charge is None:
            raise web.HTTPNotFound(text="no such order")
        return charge
