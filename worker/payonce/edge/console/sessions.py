"""Operators' sessions: signed cookies that hold no secret and end with the token they came from."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from payonce.domain.times import from_ms, to_ms
from payonce.edge.auth import Auth, TokenKey
from payonce.ports.clock import Clock

PATH = "/ops"
SESSION = "payonce_ops"
MARK = "payonce_ops_mark"
SAID = "payonce_ops_said"
LASTS = timedelta(hours=8)
MARK_LASTS = timedelta(days=90)
SAID_LASTS = timedelta(minutes=1)
SKEW = timedelta(minutes=1)
"""How far ahead another process's clock may be."""

_PURPOSE = b"sessions of operators"
"""Holds spaces, which no order's id does: no order's token is this key."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in; `csrf` proves that a form came from a page of this session."""

    operator: str
    csrf: str


class Sessions:
    """Makes and reads the cookies. Reading may raise Unavailable, until the key was read once."""

    def __init__(self, auth: Auth, token_key: TokenKey, clock: Clock, *, secure: bool) -> None:
        self._auth = auth
        self._token_key = token_key
        self._clock = clock
        self._secure = secure

    async def of(self, request: web.Request) -> Session | None:
        """Return the session of a request; None: there is none, or it has ended."""
        cookie = request.cookies.get(SESSION, "")
        operator = await self._read(cookie, SESSION, LASTS)
        if operator is None:
            return None
        return Session(operator, await self._mac("csrf", cookie))

    async def mark_of(self, request: web.Request) -> str | None:
        """Return the mark of a browser in which an operator logged in before."""
        cookie = request.cookies.get(MARK, "")
        return cookie if await self._read(cookie, MARK, MARK_LASTS) else None

    async def begin(self, response: web.StreamResponse, operator: str) -> None:
        """Log an operator in."""
        for name, lasts, path in ((SESSION, LASTS, PATH), (MARK, MARK_LASTS, f"{PATH}/login")):
            self._set(response, name, await self._make(operator, name), lasts, path)

    def end(self, response: web.StreamResponse) -> None:
        """Log out."""
        response.del_cookie(SESSION, path=PATH)

    async def say(self, response: web.StreamResponse, text: str, *, good: bool) -> None:
        """Have the next page say something, once."""
        value = _encode(f"{'+' if good else '-'}{text}")
        self._set(response, SAID, f"{value}.{await self._mac('said', value)}", SAID_LASTS, PATH)

    async def said(self, request: web.Request) -> tuple[str, bool] | None:
        """Return what is to be said, and whether it is good news."""
        cookie = request.cookies.get(SAID, "")
        value, _, mac = cookie.partition(".")
        if not cookie.isascii() or not _same(mac, await self._mac("said", value)):
            return None
        text = _decode(value) or ""
        return text[1:], text.startswith("+")

    def has_said(self, response: web.StreamResponse) -> None:
        """Have nothing said again."""
        response.del_cookie(SAID, path=PATH)

    def _set(
        self, response: web.StreamResponse, name: str, value: str, lasts: timedelta, path: str
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(lasts.total_seconds()),
            path=path,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )

    async def _make(self, operator: str, purpose: str) -> str:
        value = f"{_encode(operator)}.{to_ms(self._clock.now())}"
        return f"{value}.{await self._proof(operator, purpose, value)}"

    async def _read(self, cookie: str, purpose: str, lasts: timedelta) -> str | None:
        """Return the operator in a cookie that was made for this purpose and is not too old."""
        if not cookie.isascii():
            return None
        value, _, proof = cookie.rpartition(".")
        name, _, made_at = value.partition(".")
        operator = _decode(name)
        if operator is None or self._auth.token_of(operator) is None:
            return None
        if not _same(proof, await self._proof(operator, purpose, value)):
            return None
        age = self._clock.now() - _time(made_at)
        return operator if -SKEW <= age < lasts else None

    async def _proof(self, operator: str, purpose: str, value: str) -> str:
        """Return what only this installation can have made, while this is the operator's token."""
        token = self._auth.token_of(operator) or ""
        digest = hashlib.sha256(token.encode()).hexdigest()
        return await self._mac(purpose, f"{value}/{digest}")

    async def _mac(self, purpose: str, text: str) -> str:
        key = hmac.new(await self._token_key(), _PURPOSE, hashlib.sha256).digest()
        return hmac.new(key, f"{purpose}/{text}".encode(), hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _time(text: str) -> datetime:
    # The text was proven to be ours.
    return from_ms(int(text))


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode() or None
    except (ValueError, binascii.Error):
        return None
