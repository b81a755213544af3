"""Who may ask what: the shop's services, one order's shopper, operators."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web

from payonce.edge.attempts import Attempts, Caller
from payonce.edge.problems import Refused
from payonce.edge.proxies import address_of
from payonce.settings import HttpSettings

TokenKey = Callable[[], Awaitable[bytes]]
"""Returns the installation's key, from which the orders' access tokens follow."""


class Auth:
    """Compares tokens in constant time. Every refusal is raised as `Refused`."""

    def __init__(
        self, settings: HttpSettings, token_key: TokenKey, attempts: Attempts | None = None
    ) -> None:
        self._attempts = attempts or Attempts()
        self._api_token = settings.api_token.reveal()
        self._operators = {name: one.reveal() for name, one in settings.operators.items()}
        self._token_key = token_key
        self._trusted_proxies = settings.trusted_proxies
        self._public_url = settings.public_url.rstrip("/")

    def require_api(self, request: web.Request) -> None:
        """Refuse whoever is not one of the shop's services."""
        if not self._api_token:
            raise Refused(403, "no-api-token", "http.api_token is not configured")
        if not _same(bearer_of(request), self._api_token):
            raise Refused(401, "unauthorized", "the bearer is not http.api_token")

    def is_api(self, request: web.Request) -> bool:
        """Say whether one of the shop's services asks."""
        return bool(self._api_token) and _same(bearer_of(request), self._api_token)

    async def require_order(self, request: web.Request, order_id: str) -> None:
        """Refuse whoever is neither one of the shop's services nor holds this order's token."""
        if self.is_api(request):
            return
        given = bearer_of(request) or request.query.get("token", "")
        if not _same(given, await self.order_token(order_id)):
            raise not_this_order()

    def require_operator(self, request: web.Request) -> str:
        """Return the operator's name, refuse everybody else."""
        if not self._operators:
            raise Refused(403, "no-operators", "http.operators names nobody")
        given = bearer_of(request)
        if not given:
            raise _no_operator("there is no bearer")
        return self.operator_of(given, self.caller_of(request))

    def operator_of(self, given: str, caller: Caller) -> str:
        """Return whose token was given. Who gave wrong ones has to wait: 429."""
        wait_s = self._attempts.wait_s(caller)
        if wait_s:
            problem = f"too many wrong tokens; try again in {wait_s} s"
            raise Refused(429, "too-many-attempts", problem, retry_after_s=wait_s)
        found = [name for name, token in self._operators.items() if _same(given, token)]
        if not found:
            self._attempts.failed(caller)
            raise _no_operator("the bearer is no operator's token")
        self._attempts.succeeded(caller)
        return found[0]

    def caller_of(self, request: web.Request, mark: str | None = None) -> Caller:
        """Return who asks, from where."""
        return Caller(address_of(request, self._trusted_proxies), mark)

    def token_of(self, operator: str) -> str | None:
        """Return an operator's token; None: the configuration does not name him."""
        return self._operators.get(operator)

    @property
    def has_operators(self) -> bool:
        """Say whether the configuration names anybody."""
        return bool(self._operators)

    async def order_token(self, order_id: str) -> str:
        """Return the token that opens one order; it follows from its id and the installation."""
        key = await self._token_key()
        return "ot_" + hmac.new(key, order_id.encode(), hashlib.sha256).hexdigest()

    async def checkout_url(self, payment_id: str, order_id: str) -> str:
        """Return the address of a payment's page, with the token of its order."""
        token = await self.order_token(order_id)
        return f"{self._public_url}/checkout/{payment_id}?token={token}"


def _no_operator(problem: str) -> Refused:
    return Refused(401, "unauthorized", problem)


def not_this_order() -> Refused:
    """Return the refusal of whoever may not see an order, whether there is one or not."""
    return Refused(401, "unauthorized", "neither http.api_token nor this order's order_token")


def bearer_of(request: web.Request) -> str:
    """Return the bearer token of a request, empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _same(given: str, wanted: str) -> bool:
    # A header's bytes that are no UTF-8 arrive as surrogates.
    return hmac.compare_digest(given.encode(errors="surrogateescape"), wanted.encode())
