"""The way into a strict Stripe: who asks, and what was asked before under the same key."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Any

from aiohttp import web

from gateway_mock.books import Refused
from gateway_mock.callbacks import Letter
from gateway_mock.server import HANG_S, RETRY_AFTER_S
from gateway_mock.stripe_forms import Form, Keys, StripeError, parse_form

DEFAULT_KEY = "sk_test_payonce_mock_public_key"

_VERSION = re.compile(r"20\d\d-\d\d-\d\d\.[a-z]+")

Answer = tuple[int, dict[str, Any]]
Endpoint = Callable[[web.Request, Form], Awaitable[dict[str, Any]]]
Served = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Lets requests in that bear the account's key, each POST once under its own key."""

    def __init__(self, secret_key: str, clock: Callable[[], float]) -> None:
        self.secret_key = secret_key
        self.keys = Keys(clock)

    def serve(self, endpoint: Endpoint) -> Served:
        """Return an endpoint as the server wants it."""

        async def served(request: web.Request) -> web.StreamResponse:
            try:
                self._check_headers(request)
                if request.method == "GET":
                    return _json(200, await endpoint(request, parse_form(request.query_string)))
                return await self._post(request, (await request.read()).decode(), endpoint)
            except StripeError as error:
                return _json(error.status, error.body)
            except Refused as error:
                return _json(error.status, StripeError(error.status, error.detail).body)

        return served

    async def _post(
        self, request: web.Request, body: str, endpoint: Endpoint
    ) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        replay = self.keys.begin(key, request.path, body)
        if replay is not None:
            return _json(*replay, replayed=True)
        answer: Answer | None = None
        try:
            answer = 200, await endpoint(request, parse_form(body))
        except StripeError as error:
            answer = (error.status, error.body) if error.kept else None
            raise
        finally:
            if answer is None:
                self.keys.drop(key)
            else:
                self.keys.keep(key, answer)
        return _json(*answer)

    def _check_headers(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.secret_key}".encode()):
            raise StripeError(401, "Invalid API Key provided")
        if _VERSION.fullmatch(request.headers.get("Stripe-Version", "")) is None:
            raise StripeError(400, "Invalid Stripe API version")
        form = request.content_type == "application/x-www-form-urlencoded"
        if request.method == "POST" and not form:
            raise StripeError(400, "Invalid request: the body is no form")


async def stumble(fault: str, *, kept: bool = False) -> None:
    """Raise the answer that a fault puts in place of the true one; hang; or do nothing.

    `kept`: the endpoint had begun, so that the same key is answered so for a day.
    """
    match fault:
        case "500":
            raise StripeError(500, "Something went wrong.", kind="api_error", kept=kept)
        case "429":
            raise StripeError(429, "Too many requests.", code="rate_limit")
        case "503":
            raise StripeError(503, "Come back later.", kind="api_error")
        case "nonsense":
            raise StripeError(200, "This is no object that anybody asked for.", kept=kept)
        case "timeout":
            await asyncio.sleep(HANG_S)


def stripe_letter(secret: str, told: dict[str, Any]) -> Letter:
    """Return an event signed as Stripe signs (docs.stripe.com/webhooks/signature)."""
    content = json.dumps(told, separators=(",", ":")).encode()

    def headers(timestamp_s: int) -> dict[str, str]:
        signed = f"{timestamp_s}.".encode() + content
        digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": f"t={timestamp_s},v1={digest},v0={'0' * 64}",
        }

    return Letter(content, headers)


def _json(status: int, body: dict[str, Any], *, replayed: bool = False) -> web.Response:
    headers = {"Request-Id": f"req_{token_hex(7)}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if status in {429, 503}:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.json_response(body, status=status, headers=headers)
