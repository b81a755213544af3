"""What comes by HTTP and from Redis: tokens, cookies, cursors, headers, memories, changes."""

import asyncio
import string
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import assume
from hypothesis import strategies as st

from payonce.adapters.codec import check_traceparent
from payonce.adapters.logs import keep_still, mask_text
from payonce.adapters.postgres.inbox import _make_cursor, _parse_cursor
from payonce.adapters.postgres.reader import make_cursor, parse_cursor
from payonce.adapters.redis.cache import RedisCache
from payonce.adapters.redis.changes import RedisChanges
from payonce.bootstrap.parked import _skip
from payonce.domain.errors import InvalidField
from payonce.edge.auth import Auth, bearer_of
from payonce.edge.console.door import local_path
from payonce.edge.console.sessions import MARK, SESSION, Sessions
from payonce.edge.idempotency import LONGEST_KEY, _check
from payonce.edge.problems import Refused
from payonce.edge.push import _last_event_id
from payonce.ports.cache import Seen
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.fuzz.mutating import hostile, spoiled
from tests.fuzz.targets import target
from tests.handlers.fake_meter import FakeMeter
from tests.handlers.fakes import FakeClock
from tests.store.making import NOW

KEY = b"k" * 32
SETTINGS = HttpSettings("", 0, "https://x", Secret("api-token"), {"ann": Secret("token-of-ann")})


async def _key() -> bytes:
    return KEY


AUTH = Auth(SETTINGS, _key)
CLOCK = FakeClock()
SESSIONS = Sessions(AUTH, _key, CLOCK, secure=True)


def _cookies() -> dict[str, str]:
    """Return the cookies of somebody who has just logged in."""
    response = web.Response()
    asyncio.run(SESSIONS.begin(response, "ann"))
    asyncio.run(SESSIONS.say(response, "Done.", good=True))
    return {name: one.value for name, one in response.cookies.items()}


GIVEN = _cookies()
TOKEN = asyncio.run(AUTH.order_token("o-1"))
headers = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)
cookie_signs = st.text(string.ascii_letters + string.digits + "._-=", max_size=120)


def _request(**headers: str) -> web.Request:
    return make_mocked_request("GET", "/ops", headers=headers)


def _near(text: str) -> st.SearchStrategy[str]:
    """Return texts near one: bytes changed, or made of anything."""
    changed = spoiled(text.encode()).map(lambda raw: raw.decode("ascii", errors="replace"))
    return changed.map(lambda one: "".join(sign for sign in one if sign.isprintable()))


@target(cookie=_near(GIVEN[SESSION]) | _near(GIVEN[MARK]) | cookie_signs)
def session(cookie: str) -> None:
    """No cookie but the given one is a session, nor the mark of a browser."""
    assume(cookie not in GIVEN.values())
    for name, read in ((SESSION, SESSIONS.of), (MARK, SESSIONS.mark_of)):
        request = _request(Cookie=f"{name}={cookie}")
        # What the library makes of the header may be less than was sent.
        if request.cookies.get(name, "") not in GIVEN.values():
            assert asyncio.run(read(request)) is None
    asyncio.run(SESSIONS.said(_request(Cookie=f"payonce_ops_said={cookie}")))


@target(
    given=_near(TOKEN) | headers,
    scheme=st.sampled_from(["Bearer ", "bearer\t", "Basic ", ""]),
    in_query=st.booleans(),
    order_id=st.sampled_from(["o-1", "o-2", "", "o-1/"]) | st.text(max_size=70),
)
def tokens(given: str, scheme: str, in_query: bool, order_id: str) -> None:
    """An order is opened by its own token, in constant time, and by nothing else."""
    request = _request(Authorization=f"{scheme}{given}")
    if in_query:
        request = cast("web.Request", _WithToken(given))
    shown = given.strip() if not in_query else given
    try:
        asyncio.run(AUTH.require_order(request, order_id))
    except Refused:
        return
    assert shown in {"api-token", asyncio.run(AUTH.order_token(order_id))}


class _WithToken:
    """As much of a request as is asked for a token in its address."""

    def __init__(self, token: str) -> None:
        self.query = {"token": token}
        self.headers: dict[str, str] = {}


@target(text=headers)
def header_values(text: str) -> None:
    """Headers of callers are numbers, keys and traces, or as if they were not there."""
    request = _request(**{"Last-Event-ID": text, "Authorization": text})
    version = _last_event_id(request)
    assert version is None or 0 <= version < 10**9
    bearer_of(request)
    assert check_traceparent(text) in {None, text}
    with suppress(InvalidField):
        assert 1 <= len(_check(text)) <= LONGEST_KEY
    with suppress(UnicodeEncodeError):
        assert isinstance(mask_text(text), str)
    still = keep_still(None, "", {"reason": text})["reason"]
    assert all(one.isprintable() or one == "\n" for one in still)


@target(
    cursor=_near(make_cursor(NOW, "p-1"))
    | _near(_make_cursor(7))
    | headers
    | st.text(max_size=60)
    | st.text(string.digits, max_size=30)
)
def cursors(cursor: str) -> None:
    """A cursor leads to a place of a list that the database can look for, or is none of ours."""
    with suppress(InvalidField):
        at, last_id = parse_cursor(cursor)
        assert at.tzinfo is not None
        assert last_id.isascii()
    with suppress(InvalidField):
        assert -(2**63) <= _parse_cursor(cursor) < 2**63
    with suppress(InvalidField):
        assert 0 <= _skip(cursor) < 2**31


@target(
    path=st.text(max_size=60)
    | st.text("/ops.\\?#@:%0a ", max_size=40).map(lambda one: f"/ops{one}")
)
def local(path: str) -> None:
    """Nobody is led away after the login."""
    found = local_path(path)
    assert found is None or (found.startswith("/ops") and found[4:5] in {"", "/", "?"})
    assert found is None or ("//" not in found[:5] and ".." not in found and found.isascii())


class _Poisoned:
    """A Redis in which somebody wrote whatever he liked."""

    def __init__(self, told: Any) -> None:
        self._told = told

    async def get(self, _key: str) -> Any:
        """Return it."""
        return self._told

    async def mget(self, keys: list[str]) -> list[Any]:
        """Return it for every key."""
        return [self._told for _ in keys]


@target(
    told=st.none()
    | st.binary(max_size=200)
    | spoiled(b"7 p-1 " + b"0" * 64)
    | st.integers()
    | st.lists(st.binary(max_size=8), max_size=3)
)
def memories(told: Any) -> None:
    """Of what Redis remembers nothing counts that is not proven: no poll ends, no order is paid."""

    async def look() -> tuple[Seen, str | None]:
        cache = RedisCache("redis://127.0.0.1:1/0", FakeMeter(), 3_000, timedelta(days=1))
        cache._client = cast("Any", _Poisoned(told))
        return await cache.seen("p-1", 0, 0), await cache.paid_by("o-1")

    seen, paid_by = asyncio.run(look())
    assert not seen.succeeded
    assert paid_by is None


@target(data=hostile(["another-process", {"o-1": 7, "o-2": 2**40}]))
def changes(data: bytes) -> None:
    """A forged change makes somebody look, and nothing else; what is no change is left alone."""
    heard = RedisChanges("redis://127.0.0.1:1/0", FakeMeter())
    told: list[int] = []
    heard.subscribe(lambda versions: told.extend(versions.values()))
    heard._take({"type": "message", "data": data})
    heard._take({"type": "subscribe", "data": 1})
    assert all(type(version) is int for version in told)
