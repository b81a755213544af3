"""A key whose end could not be noted is free, or answered, as soon as the database is back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from payonce.domain.errors import InvalidField, Unavailable
from payonce.edge import leftovers
from payonce.edge.idempotency import HEADER, REPLAYED, Idempotency
from payonce.edge.problems import Refused
from payonce.ports.applications import KeyFound
from tests.store.applying import FakeKeys
from tests.store.making import NOW

LEASE = timedelta(seconds=60)
AWAY = Unavailable("postgres", "is away")


@dataclass
class AwayKeys(FakeKeys):
    """Keys in a database that can be away; what is `cut` is done, and nobody hears of it."""

    away: bool = False
    cut: bool = False

    async def take(
        self, key: str, request_hash: bytes, now: datetime, leased_until: datetime
    ) -> KeyFound:
        """See the port."""
        self._begin()
        found = await super().take(key, request_hash, now, leased_until)
        self._end()
        return found

    async def answer(self, key: str, since: datetime, status: int, body: Mapping[str, Any]) -> None:
        """See the port."""
        self._begin()
        await super().answer(key, since, status, body)

    async def release(self, key: str, leased_until: datetime) -> None:
        """See the port."""
        self._begin()
        await super().release(key, leased_until)

    async def forget(self, key: str, since: datetime) -> None:
        """See the port."""
        self._begin()
        await super().forget(key, since)

    def _begin(self) -> None:
        if self.away:
            raise AWAY

    def _end(self) -> None:
        if self.cut:
            raise AWAY


@dataclass
class Pauses:
    """A clock that stands still; who sleeps is woken by `pass_one`."""

    at: datetime = NOW
    sleepers: list["asyncio.Future[None]"] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the moment at which it stands."""
        return self.at

    async def sleep(self, delay_s: float) -> None:
        """Wait to be woken."""
        sleeper = asyncio.get_running_loop().create_future()
        self.sleepers.append(sleeper)
        await sleeper

    async def pass_one(self) -> None:
        """Wake all who sleep, and let them do what they do."""
        await self._turn()
        woken, self.sleepers = self.sleepers, []
        for one in woken:
            one.set_result(None)
        await self._turn()

    async def _turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


class Desk:
    """Takes applications with one key."""

    def __init__(self) -> None:
        self.keys = AwayKeys()
        self.clock = Pauses()
        self.worked: list[str] = []
        self.problem: Exception | None = None
        self.status = 201
        self._idempotency = Idempotency(self.keys, self.clock, LEASE.total_seconds())

    async def apply(self, key: str = "k", data: object = 1) -> tuple[int, bool]:
        """Return the status of the answer, and whether it was given before."""
        request = make_mocked_request("POST", "/", headers={HEADER: key})
        answer = await self._idempotency.run(request, "payments", data, self._work)
        return answer.status, REPLAYED in answer.headers

    async def _work(self, payment_id: str) -> web.Response:
        self.worked.append(payment_id)
        self.keys.away = True
        if self.problem is not None:
            raise self.problem
        return web.Response(status=self.status, text="{}", content_type="application/json")


@pytest.fixture
def desk() -> Desk:
    """A desk whose database goes away as soon as the work is begun."""
    return Desk()


async def held(desk: Desk) -> bool:
    """Say whether a repeat is told to wait."""
    try:
        await desk.apply()
    except Refused as refused:
        return refused.status == 409
    return False


async def back(desk: Desk) -> None:
    """Let the database be back for the next try behind the request."""
    desk.keys.away = False
    assert await held(desk)
    await desk.clock.pass_one()


async def test_a_release_is_noted_once_the_database_is_back(desk: Desk) -> None:
    """The repeat goes on with the same payment long before the lease has passed."""
    desk.status = 503
    assert (503, False) == await desk.apply()
    await desk.clock.pass_one()
    await back(desk)
    desk.status = 201
    assert (201, False) == await desk.apply()
    assert [desk.worked[0]] * 2 == desk.worked


async def test_after_an_error_the_key_is_released_too(desk: Desk) -> None:
    """Whatever it was."""
    desk.problem = AWAY
    with pytest.raises(Unavailable):
        await desk.apply()
    await back(desk)
    desk.problem = None
    assert (201, False) == await desk.apply()


async def test_an_answer_is_kept_once_the_database_is_back(desk: Desk) -> None:
    """The repeat gets it; nothing is done again."""
    assert (201, False) == await desk.apply()
    await back(desk)
    assert (201, True) == await desk.apply()
    assert 1 == len(desk.worked)


async def test_what_was_invalid_stays_that_and_is_forgotten(desk: Desk) -> None:
    """The answer names the field, not the database; the key serves another body then."""
    desk.problem = InvalidField("amount", "is 0", "1 or more")
    with pytest.raises(InvalidField):
        await desk.apply()
    await back(desk)
    desk.problem = None
    assert (201, False) == await desk.apply(data=2)


async def test_a_key_that_may_be_taken_is_released(desk: Desk) -> None:
    """It was, but the answer was cut off: nobody works on it."""
    desk.keys.cut = True
    with pytest.raises(Unavailable):
        await desk.apply()
    desk.keys.cut = False
    await back(desk)
    assert (201, False) == await desk.apply()


async def test_nothing_is_noted_after_the_lease(desk: Desk) -> None:
    """Somebody else may have the key by then."""
    desk.status = 503
    await desk.apply()
    desk.keys.away = False
    desk.clock.at += LEASE
    await desk.clock.pass_one()
    assert [] == desk.clock.sleepers
    assert [NOW + LEASE] == [one.leased_until for one in desk.keys.keys.values()]


async def test_no_more_than_so_many_are_left(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease of the others passes; one alone asks whether the database is back."""
    monkeypatch.setattr(leftovers, "MOST_LEFT", 2)
    desk.keys.cut = True
    for n in range(4):
        with pytest.raises(Unavailable):
            await desk.apply(f"k-{n}")
    desk.keys.away = True
    await desk.clock.pass_one()
    assert 1 == len(desk.clock.sleepers)
    desk.keys.away = False
    await desk.clock.pass_one()
    assert [NOW, NOW, NOW + LEASE, NOW + LEASE] == [
        one.leased_until for one in desk.keys.keys.values()
    ]
    assert [] == desk.clock.sleepers


async def test_who_is_left_later_is_noted_too(desk: Desk) -> None:
    """After all before were."""
    desk.keys.cut = True
    for key in ("k-1", "k-2"):
        with pytest.raises(Unavailable):
            await desk.apply(key)
        await desk.clock.pass_one()
    assert [NOW, NOW] == [one.leased_until for one in desk.keys.keys.values()]
