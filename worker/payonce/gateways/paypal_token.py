"""PayPal's access tokens: OAuth 2.0 client credentials, kept until they end."""

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from yarl import URL

from payonce.gateways.caller import Asking, Caller
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.paypal_words import UNREADABLE, tokens
from payonce.settings.secret import Secret

EARLIER_S = 60.0
"""A token is renewed so long before it ends, since a call takes a while."""
_LONGEST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, kept from everybody's eyes; `until_s` on the token's own clock."""

    secret: Secret
    until_s: float


class Tokens:
    """One token for all calls of this process (RFC 6749, 4.4); asked for by one call at a time."""

    def __init__(
        self,
        caller: Caller,
        base_url: str,
        client_id: str,
        secrets: Sequence[Secret],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caller = caller
        self._url = URL(f"{base_url}/v1/oauth2/token")
        self._client_id = client_id
        self._secrets = secrets
        self._now_s = now_s
        self._lock = asyncio.Lock()
        self._token: Token | None = None

    async def get(self, refused: Token | None = None) -> Token | Answer | NoAnswer:
        """Return a token, or the answer that brought none; never the one that was `refused`."""
        token = self._usable(refused)
        if token is not None:
            return token
        async with self._lock:
            token = self._usable(refused)
            return token if token is not None else await self._renew()

    def _usable(self, refused: Token | None) -> Token | None:
        token = self._token
        if token is None or token is refused or self._now_s() >= token.until_s:
            return None
        return token

    async def _renew(self) -> Token | Answer | NoAnswer:
        """Ask with the first secret, and with the next ones where it is refused."""
        answer: Answer | NoAnswer = NoAnswer("no client secret", sent=False)
        for secret in self._secrets:
            answer = await self._caller.ask(self._asking(secret))
            if isinstance(answer, NoAnswer) or answer.status != 401:
                break
        if isinstance(answer, NoAnswer):
            # Nothing but a token was asked for: what was meant to follow was not sent.
            return NoAnswer(f"no access token: {answer.problem}", sent=False)
        if answer.status != 200:
            return answer
        return self._keep(answer)

    def _keep(self, answer: Answer) -> Token | NoAnswer:
        try:
            found = tokens.decode(answer.body)
        except UNREADABLE:
            return NoAnswer("no access token: nonsense", sent=False)
        text, lasts_s = found.access_token, min(found.expires_in, _LONGEST_S)
        if not (text.isascii() and text.isprintable() and " " not in text and text):
            return NoAnswer("no access token: nonsense", sent=False)
        self._token = Token(Secret(text), self._now_s() + max(lasts_s - EARLIER_S, 0.0))
        return self._token

    def _asking(self, secret: Secret) -> Asking:
        pair = f"{self._client_id}:{secret.reveal()}".encode()
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        return Asking("token", "POST", self._url, headers, b"grant_type=client_credentials")
