"""What every carrier of changes does, in memory and on Redis."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis import asyncio as aioredis

from payonce.adapters.memory.changes import MemoryChanges
from payonce.adapters.redis import changes as redis_changes
from payonce.adapters.redis.changes import RedisChanges
from payonce.ports.changes import Changes
from tests.handlers.fake_meter import FakeMeter
from tests.support.ports import free_port
from tests.support.servers import Servers
from tests.support.waiting import eventually


@dataclass
class Ear:
    """Writes down what it is told."""

    told: list[dict[str, int]] = field(default_factory=list)

    def take(self, versions: Mapping[str, int]) -> None:
        """Note versions."""
        self.told.append(dict(versions))

    def latest(self) -> dict[str, int]:
        """Return the latest version of each order."""
        return {key: version for one in self.told for key, version in one.items()}


@asynccontextmanager
async def hearing(url: str, installation: str = "i1") -> AsyncIterator[RedisChanges]:
    """Give changes on Redis that are heard."""
    changes = RedisChanges(url, FakeMeter())
    changes.belong_to(installation)
    running = asyncio.create_task(changes.run())
    try:
        await eventually(changes.is_heard)
        yield changes
    finally:
        running.cancel()
        await asyncio.wait([running])
        await changes.close()


@pytest.fixture(params=["memory", "redis"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Changes, Changes]]:
    """Two processes of one installation."""
    if request.param == "memory":
        others: list[MemoryChanges] = []
        yield MemoryChanges(others), MemoryChanges(others)
        return
    url = request.getfixturevalue("redis_url")
    async with hearing(url) as one, hearing(url) as other:
        yield one, other


async def test_own_listeners_are_told_at_once_and_others_soon(
    pair: tuple[Changes, Changes],
) -> None:
    """Each once: the echo of an own message is no news."""
    one, other = pair
    own, foreign = Ear(), Ear()
    one.subscribe(own.take)
    other.subscribe(foreign.take)
    one.spread({"o1": 3})
    assert [{"o1": 3}] == own.told
    await eventually(lambda: foreign.told == [{"o1": 3}])
    other.spread({"o2": 1})
    await eventually(lambda: own.told == [{"o1": 3}, {"o2": 1}])
    assert [{"o1": 3}, {"o2": 1}] == foreign.told


async def test_both_say_that_they_are_heard(pair: tuple[Changes, Changes]) -> None:
    """While nothing is in the way."""
    assert [True, True] == [one.is_heard() for one in pair]


async def test_many_changes_go_as_one_message(redis_url: str) -> None:
    """Only the latest version of each order counts."""
    async with hearing(redis_url) as one, hearing(redis_url) as other:
        ear = Ear()
        other.subscribe(ear.take)
        for version in range(5):
            one.spread({"o1": version, f"x{version}": 1})
        await eventually(lambda: ear.told)
        assert [{"o1": 4, **{f"x{n}": 1 for n in range(5)}}] == ear.told


async def test_another_installation_hears_nothing(redis_url: str) -> None:
    """They may share a Redis."""
    async with hearing(redis_url) as one, hearing(redis_url, "i2") as stranger:
        own, foreign = Ear(), Ear()
        one.subscribe(own.take)
        stranger.subscribe(foreign.take)
        one.spread({"o1": 1})
        stranger.spread({"o2": 1})
        await eventually(lambda: {"o1": 1} in own.told)
        stranger.spread({"o3": 1})
        await eventually(lambda: "o3" in foreign.latest())
        assert {"o2": 1, "o3": 1} == foreign.latest()


async def test_what_nobody_understands_is_left_alone(redis_url: str) -> None:
    """Whoever can reach Redis can publish."""
    async with hearing(redis_url) as changes, aioredis.from_url(redis_url) as client:
        ear = Ear()
        changes.subscribe(ear.take)
        nonsenses = ("", "{}", '["x"]', '["x", {"o1": "y"}]', "\xff", '["x", [1]]')
        for nonsense in (*nonsenses, b'["x",{"\xff":1}]', "[" * 50_000):
            await client.publish("payonce:i1:changes", nonsense)
        await client.publish("payonce:i1:changes", '["x", {"o1": 2}]')
        await eventually(lambda: ear.told)
        assert [{"o1": 2}] == ear.told


async def test_redis_that_never_answers_holds_up_nothing() -> None:
    """Own listeners are told, nothing is raised, and the end is soon."""
    changes = RedisChanges(f"redis://127.0.0.1:{free_port()}/0", FakeMeter())
    running = asyncio.create_task(changes.run())
    ear = Ear()
    changes.subscribe(ear.take)
    changes.spread({"o1": 1})
    assert [{"o1": 1}] == ear.told
    assert not changes.is_heard()
    async with asyncio.timeout(2):
        running.cancel()
        await asyncio.wait([running])
        await changes.close()


async def test_what_waits_for_redis_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order once, and no more than so many orders."""
    monkeypatch.setattr(redis_changes, "MOST_WAITING", 10)
    changes = RedisChanges(f"redis://127.0.0.1:{free_port()}/0", FakeMeter())
    for version in range(3):
        for n in range(50):
            changes.spread({f"o{n}": version})
    assert {f"o{n}": 2 for n in range(10)} == changes._waiting
    await changes.close()


async def test_what_changed_while_redis_was_away_is_told_when_it_is_back(
    servers: Servers, redis_url: str
) -> None:
    """And meanwhile both know that they do not hear each other."""
    async with hearing(redis_url) as one, hearing(redis_url) as other:
        ear = Ear()
        other.subscribe(ear.take)
        servers.redis.kill()
        try:
            one.spread({"o1": 1})
            one.spread({"o1": 2})
            await eventually(lambda: not (one.is_heard() or other.is_heard()))
            # Publishes before the other hears again are lost, as they may be.
            one._link._away_until = float("inf")
        finally:
            servers.redis.start()
        await eventually(other.is_heard)
        one._link._away_until = 0.0
        await eventually(lambda: ear.latest() == {"o1": 2})
        assert other.is_heard()


async def test_a_connection_that_broke_is_counted(redis_url: str) -> None:
    """However soon it is there again: what was told meanwhile is lost."""
    async with hearing(redis_url) as changes, aioredis.from_url(redis_url) as client:
        assert 0 == changes.losses()
        await client.client_kill_filter(_type="pubsub")
        await eventually(lambda: changes.losses() == 1)
        assert await eventually(changes.is_heard, 15)
        assert 1 == changes.losses()


async def test_a_redis_that_freezes_is_not_heard(servers: Servers, redis_url: str) -> None:
    """Its connections stay open, and nothing comes."""
    async with hearing(redis_url) as changes:
        servers.redis.pause()
        try:
            assert await eventually(lambda: not changes.is_heard(), 5)
        finally:
            servers.redis.resume()
        assert await eventually(changes.is_heard, 15)
