"""The wallet: the page behind the links in `qr` and `pay_url`, where a person is the shopper."""

import base64
import hashlib
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from math import ceil
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway_mock.books import Charge, Refused
from gateway_mock.server import Mock

FOLDER = resources.files(__package__).joinpath("wallet_page")
STYLE = FOLDER.joinpath("wallet.css").read_text(encoding="utf-8")
WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads(
    FOLDER.joinpath("words.toml").read_text(encoding="utf-8")
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
SOON_S, LATE_S = 10.0, 30.0
ACTS = {
    "pending": ("pay", "decline", "pay-soon", "pay-late"),
    "due": ("pay", "decline"),
    "closed": ("pay-anyway",),
    "expired": ("pay-anyway",),
}
"""What a person may do, by the state of the page; the first one is the natural one."""

_EXPONENTS = dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "UGX", "VND", "XAF", "XOF"), 0) | (
    dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)
)


class Wallet:
    """The routes of the wallet. Whoever knows a payment's id may act, as on the control API."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._environment = Environment(
            loader=PackageLoader(__package__, "wallet_page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below /pay."""
        return [
            web.get("/pay/{payment_id}", self._show),
            web.post("/pay/{payment_id}", self._act),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        now, words = self._mock.clock(), _words(request)
        try:
            charge = self._mock.books.find(request.match_info["payment_id"], now)
        except Refused as error:
            return self._page(words, "unknown", error.status)
        self._mock.scan(charge)
        state = state_of(charge, now)
        answer = self._page(words, state, charge=charge, due_s=_due_s(charge, now))
        if state == "due":
            answer.headers["Refresh"] = "1"
        return answer

    async def _act(self, request: web.Request) -> web.Response:
        """Do what the person chose, then show the page anew."""
        now = self._mock.clock()
        charge = self._mock.books.find(request.match_info["payment_id"], now)
        act = (await request.post()).get("act")
        allowed = ACTS.get(state_of(charge, now), ())
        if act in allowed:
            self._do(charge, str(act))
        elif act not in {one for acts in ACTS.values() for one in acts}:
            raise ValueError(f"act: {act!r:.40} is unknown; allowed: {', '.join(allowed)}")
        return web.Response(status=303, headers={"Location": request.rel_url.raw_path})

    def _do(self, charge: Charge, act: str) -> None:
        match act:
            case "decline":
                self._mock.decline(charge)
            case "pay-soon":
                self._mock.pay(charge, SOON_S)
            case "pay-late":
                self._mock.pay(charge, LATE_S, though_closed=True)
            case _:
                self._mock.pay(charge, though_closed=act == "pay-anyway")

    def _page(
        self,
        words: Mapping[str, str],
        state: str,
        status: int = 200,
        *,
        charge: Charge | None = None,
        due_s: int = 0,
    ) -> web.Response:
        text = self._environment.get_template("wallet.html").render(
            t=words,
            state=state,
            style=Markup(STYLE),  # noqa: S704 - a file of ours
            acts=ACTS.get(state, ()),
            charge=charge,
            due_s=due_s,
            **(_told(charge) if charge else {}),
        )
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)


def state_of(charge: Charge, now: float) -> str:
    """Return how a charge stands for the person who pays it: the key of its words."""
    status = charge.status(now)
    if status in {"pending", "closed"} and _due_s(charge, now):
        return "due"
    if status == "pending" and charge.expires_at is not None and now >= charge.expires_at:
        return "expired"
    return status


def format_amount(amount: int, currency: str) -> str:
    """Return minor units as an amount."""
    exponent = _EXPONENTS.get(currency, 2)
    return f"{Decimal(amount).scaleb(-exponent):,.{exponent}f} {currency}"


def _due_s(charge: Charge, now: float) -> int:
    """Return in how many seconds it will be paid; 0: nobody has said so."""
    pays_at = charge.pays_at
    return ceil(pays_at - now) if pays_at is not None and pays_at > now else 0


def _told(charge: Charge) -> Mapping[str, Any]:
    told = {
        "amount": format_amount(charge.amount, charge.currency),
        "refunded": format_amount(charge.refunded, charge.currency),
    }
    if charge.paid_at is not None:
        told["paid_at"] = f"{datetime.fromtimestamp(charge.paid_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return told


def _words(request: web.Request) -> Mapping[str, str]:
    first = request.headers.get("Accept-Language", "").strip().lower()
    return WORDS["zh" if first.startswith("zh") else "en"]
