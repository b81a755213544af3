"""Redis as a lock and a memory aid: what it says when it is there, and that it is never needed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis import asyncio as aioredis

from payonce.adapters.memory.cache import MemoryCache
from payonce.adapters.memory.lock import MemoryLocks
from payonce.adapters.redis.cache import RedisCache
from payonce.adapters.redis.link import PAUSE_LEAST_S, SOCKET_TIMEOUT_S, RedisLink
from payonce.adapters.redis.lock import RedisLocks
from payonce.ports.cache import Cache, Seen
from payonce.ports.lock import LockOutcome, OrderLocks
from tests.handlers.fake_meter import FakeMeter
from tests.support.ports import free_port
from tests.support.servers import Servers
from tests.support.waiting import eventually

NOBODY_S = 0.0
KEEP = timedelta(hours=24)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator["aioredis.Redis"]:
    """A client of the test's own."""
    async with aioredis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def redis_locks(redis_url: str) -> AsyncIterator[RedisLocks]:
    """Locks on a real Redis."""
    locks = RedisLocks(redis_url, FakeMeter())
    yield locks
    await locks.close()


@pytest.fixture(params=["memory", "redis"])
def locks(request: pytest.FixtureRequest) -> OrderLocks:
    """Each kind of locks in turn."""
    if request.param == "memory":
        return MemoryLocks()
    found: RedisLocks = request.getfixturevalue("redis_locks")
    return found


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    """Each kind of cache in turn."""
    if request.param == "memory":
        yield MemoryCache()
        return
    cache = RedisCache(request.getfixturevalue("redis_url"), FakeMeter(), 3_000, KEEP)
    yield cache
    await cache.close()


async def test_one_holds_the_lock_of_an_order(locks: OrderLocks) -> None:
    """Another is not let in before it is given back; another order is nobody's business."""
    first = await locks.take("o1", 5, NOBODY_S)
    second = await locks.take("o1", 5, NOBODY_S)
    other = await locks.take("o2", 5, NOBODY_S)
    assert [LockOutcome.TAKEN, LockOutcome.GIVEN_UP, LockOutcome.TAKEN] == [
        one.outcome for one in (first, second, other)
    ]
    assert await second.release()
    assert LockOutcome.GIVEN_UP is (await locks.take("o1", 5, NOBODY_S)).outcome
    assert await first.release()
    assert LockOutcome.TAKEN is (await locks.take("o1", 5, NOBODY_S)).outcome


async def test_who_waits_is_let_in_when_the_holder_goes(locks: OrderLocks) -> None:
    """Within the time that it was told to wait."""
    first = await locks.take("o1", 5, NOBODY_S)
    waiting = asyncio.create_task(locks.take("o1", 5, 5.0))
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done()
    await first.release()
    assert LockOutcome.WAITED is (await waiting).outcome


async def test_of_many_one_at_a_time_is_let_in(locks: OrderLocks) -> None:
    """Ten want it at once; who goes on without, because Redis is slow, has not been let in."""
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        lock = await locks.take("o1", 10, 10)
        is_let_in = lock.outcome in {LockOutcome.TAKEN, LockOutcome.WAITED}
        inside += is_let_in
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= is_let_in
        assert await lock.release()

    await (await locks.take("o1", 10, 10)).release()
    await asyncio.gather(*(work() for _ in range(10)))
    assert 1 == most


async def test_a_lock_ends_by_itself_and_its_holder_hears_of_it(
    redis_locks: RedisLocks, client: "aioredis.Redis"
) -> None:
    """Whoever comes next is not disturbed by the late release."""
    slow = await redis_locks.take("o1", 0.5, NOBODY_S)
    following = await redis_locks.take("o1", 5, 5.0)
    assert LockOutcome.WAITED is following.outcome
    assert not await slow.release()
    assert 1 == await client.exists("payonce:lock:o1")
    assert await following.release()
    assert 0 == await client.exists("payonce:lock:o1")


async def test_a_lock_says_when_it_ends(redis_locks: RedisLocks, client: "aioredis.Redis") -> None:
    """A holder that dies holds up nobody for longer."""
    await redis_locks.take("o1", 5, NOBODY_S)
    assert 4_000 < await client.pttl("payonce:lock:o1") <= 5_000


async def test_every_key_ends_by_itself(
    redis_locks: RedisLocks, client: "aioredis.Redis", redis_url: str
) -> None:
    """A step soon after it can matter last, a success when it was told to, a lock with its hold."""
    cache = RedisCache(redis_url, FakeMeter(), 3_000, timedelta(hours=7))
    await redis_locks.take("o1", 5, NOBODY_S)
    await cache.mark_step("p1", 0, 0)
    await cache.remember_succeeded("p1", "o1", 1, "p1")
    lives_s = {key: await client.ttl(key) for key in await client.keys()}
    expected: dict[bytes | str, int] = {
        b"payonce:lock:o1": 5,
        b"payonce:step:p1:0:0": 603,
        b"payonce:succeeded:p1": 7 * 3_600,
        b"payonce:paid:o1": 7 * 3_600,
    }
    assert expected.keys() == lives_s.keys()
    assert all(expected[key] - 2 <= life_s <= expected[key] for key, life_s in lives_s.items())
    await cache.close()


async def test_a_crowd_does_not_take_redis_for_away(redis_url: str) -> None:
    """Five hundred orders at once have their locks, by few connections; all are given back."""
    meter = FakeMeter()
    locks = RedisLocks(redis_url, meter)
    taken = await asyncio.gather(*(locks.take(f"o{n}", 60, NOBODY_S) for n in range(500)))
    assert {LockOutcome.TAKEN} == {one.outcome for one in taken}
    assert [True] * 500 == await asyncio.gather(*(one.release() for one in taken))
    again = await asyncio.gather(*(locks.take(f"o{n}", 60, NOBODY_S) for n in range(500)))
    assert {LockOutcome.TAKEN} == {one.outcome for one in again}
    assert [] == meter.of("server_away")
    await locks.close()


async def test_a_frozen_redis_holds_up_no_crowd_for_long(servers: Servers, redis_url: str) -> None:
    """Nor does everybody of it find out for himself, one after the other."""
    locks = RedisLocks(redis_url, FakeMeter())
    servers.redis.pause()
    try:
        async with asyncio.timeout(SOCKET_TIMEOUT_S * 8):
            taken = await asyncio.gather(*(locks.take(f"o{n}", 1, 30.0) for n in range(500)))
    finally:
        servers.redis.resume()
    assert {LockOutcome.AWAY} == {one.outcome for one in taken}
    await locks.close()


async def test_commands_that_fail_together_are_one_failure() -> None:
    """Else the first pause of a busy process would be its longest."""
    now_s = 0.0
    link = RedisLink(f"redis://127.0.0.1:{free_port()}/0", FakeMeter(), lambda: now_s)
    answers = await asyncio.gather(*(link.use(link.client.ping) for _ in range(10)))
    assert [None] * 10 == answers
    now_s = PAUSE_LEAST_S - 0.01
    assert link.is_away()
    now_s = PAUSE_LEAST_S
    assert not link.is_away()
    await link.close()


async def test_without_redis_everybody_goes_on() -> None:
    """At once, and it is counted."""
    meter = FakeMeter()
    url = f"redis://127.0.0.1:{free_port()}/0"
    locks, cache = RedisLocks(url, meter), RedisCache(url, meter, 3_000, KEEP)
    for _ in range(3):
        lock = await locks.take("o1", 5, 30.0)
        assert LockOutcome.AWAY is lock.outcome
        assert await lock.release()
    await cache.remember_succeeded("p1", "o1", 1, "p1")
    assert await cache.paid_by("o1") is None
    assert ("redis",) in meter.of("server_away")
    await locks.close()
    await cache.close()


async def test_a_frozen_redis_holds_up_nobody_for_long(servers: Servers, redis_url: str) -> None:
    """An answer that does not come is not waited for; nor is the lock it may have given kept."""
    locks = RedisLocks(redis_url, FakeMeter())
    await (await locks.take("o1", 30, NOBODY_S)).release()
    servers.redis.pause()
    try:
        async with asyncio.timeout(SOCKET_TIMEOUT_S * 4):
            lock = await locks.take("o1", 30, 30.0)
            assert LockOutcome.AWAY is lock.outcome
    finally:
        servers.redis.resume()
    assert await lock.release()
    another = RedisLocks(redis_url, FakeMeter())
    await eventually(lambda: _is_free(another), 10)
    await locks.close()
    await another.close()


async def _is_free(locks: RedisLocks) -> bool:
    lock = await locks.take("o1", 1, NOBODY_S)
    await lock.release()
    return lock.outcome is LockOutcome.TAKEN


async def test_a_success_is_remembered_by_payment_and_by_order(cache: Cache) -> None:
    """A duplicate is its own success; its order is paid by the winner."""
    await cache.remember_succeeded("p1", "o1", 3, "p1")
    await cache.remember_succeeded("p2", "o1", 4, "p1")
    await cache.remember_succeeded("p3", "o2", 1, None)
    assert [True, True, True, False] == [
        (await cache.seen(one, 0, 0)).succeeded for one in ("p1", "p2", "p3", "p4")
    ]
    assert ["p1", None, None] == [await cache.paid_by(one) for one in ("o1", "o2", "o3")]


async def test_a_lower_version_never_replaces_a_higher(cache: Cache) -> None:
    """Whatever the order in which they come, also past ten."""
    await cache.remember_succeeded("p1", "o1", 10, "later")
    await cache.remember_succeeded("p1", "o1", 9, "earlier")
    assert "later" == await cache.paid_by("o1")
    await cache.remember_succeeded("p1", "o1", 11, "latest")
    assert "latest" == await cache.paid_by("o1")


async def test_a_success_costs_one_call(redis_url: str, client: "aioredis.Redis") -> None:
    """Payment and order in one script, and many successes in one round trip."""
    cache = RedisCache(redis_url, FakeMeter(), 3_000, KEEP)
    await cache.paid_by("warm")
    await client.config_resetstat()
    together = (cache.remember_succeeded(f"p{n}", f"o{n}", 1, f"p{n}") for n in range(50))
    await asyncio.gather(*together)
    stats = await client.info("commandstats")
    assert 50 == stats["cmdstat_eval"]["calls"]
    await cache.close()


LIES: list[bytes] = [
    b"",
    b"1",
    b"99",
    b"99 ",
    b"99 p-1",
    b"99 p-1 ",
    b"\xff\xfe 1",
    b"99 p-1 " + b"0" * 64,
]


@pytest.mark.parametrize("lie", LIES)
async def test_what_somebody_else_wrote_into_redis_was_never_seen(
    redis_url: str, client: "aioredis.Redis", lie: bytes
) -> None:
    """No poll ends and no application is denied by a word that is not proven."""
    cache = RedisCache(redis_url, FakeMeter(), 3_000, KEEP)
    await client.set("payonce:succeeded:p-1", lie)
    await client.set("payonce:paid:o-1", lie)
    assert Seen() == await cache.seen("p-1", 0, 0)
    assert await cache.paid_by("o-1") is None
    await cache.close()


async def test_a_proven_word_is_no_word_about_another(
    redis_url: str, client: "aioredis.Redis"
) -> None:
    """Copied to another payment or order; another process of the installation believes it."""
    key = b"k" * 32
    first, second, stranger = (RedisCache(redis_url, FakeMeter(), 3_000, KEEP) for _ in range(3))
    first.prove_by(key)
    second.prove_by(key)
    await first.remember_succeeded("p-1", "o-1", 3, "p-1")
    for kind, ours, another in (("succeeded", "p-1", "p-2"), ("paid", "o-1", "o-2")):
        await client.copy(f"payonce:{kind}:{ours}", f"payonce:{kind}:{another}")
    assert (True, "p-1") == (
        (await second.seen("p-1", 0, 0)).succeeded,
        await second.paid_by("o-1"),
    )
    assert (False, None) == (
        (await second.seen("p-2", 0, 0)).succeeded,
        await second.paid_by("o-2"),
    )
    assert (Seen(), None) == (await stranger.seen("p-1", 0, 0), await stranger.paid_by("o-1"))
    for one in (first, second, stranger):
        await one.close()
