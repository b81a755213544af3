"""Gateways are spared by two processes as by one: paused, failing, or at their rate."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from gateway_mock.shopper import parse_profile, parse_script
from payonce.bootstrap.run import prepare
from payonce.bootstrap.world import open_world
from payonce.settings import load_settings
from tests.support.shop import Shop
from tests.support.town import Town, open_town, payments
from tests.support.waiting import eventually

HEARD_WITHIN_S = 3.0
RATE = 20
PAUSE = ("gateways", "pause", "mock", "--by", "ann", "--why", "their night of works")
RESUME = ("gateways", "resume", "mock", "--by", "bob")


async def start_two(town: Town, **changed: str) -> None:
    """Start two workers and wait until each has seen the other."""
    for _ in range(2):
        await town.worker(**changed).start()
    both = await eventually(lambda: seen_by_both(town))
    await eventually(lambda: seen_by_both(town, after=both))


async def seen_by_both(town: Town, after: Any = None) -> Any:
    """Return when both workers were last seen, where that is after a time."""
    rows = await town.rows("SELECT min(seen_at) AS at, max(seen_at) AS last FROM workers")
    enough = await town.count("SELECT count(*) FROM workers") == 2
    return rows[0]["last"] if enough and (after is None or rows[0]["at"] > after) else None


def queries(town: Town) -> list[float]:
    """Return when the gateway was asked, in order."""
    charges = town.mock.books.charges.values()
    return sorted(at for charge in charges for at in charge.queried_at)


async def until(town: Town, time: float) -> None:
    """Return when it is so late."""
    await eventually(lambda: town.mock.clock() >= time, 60)


async def test_a_pause_holds_in_both_processes_and_costs_no_step(town: Town) -> None:
    """Within 3 s nobody asks any more; afterwards each watch goes on with the step it stood at."""
    watched = payments(30)
    town.open_charges(watched)
    await start_two(town, PAYONCE_SWEEP__GRACE="60s")
    await town.publish("payment.initiated", watched)
    await eventually(lambda: len(queries(town)) >= 60)

    status, out, _ = await town.payonce(*PAUSE)
    assert (status, "paused by ann" in out) == (0, True)
    paused_at = town.mock.clock()
    await until(town, paused_at + HEARD_WITHIN_S)
    # One that starts meanwhile knows before it asks.
    assert await town.workers[0].end() == 0
    await town.workers[0].start()
    await until(town, paused_at + 3 * HEARD_WITHIN_S)
    assert [] == [at for at in queries(town) if at > paused_at + HEARD_WITHIN_S]

    assert (await town.payonce(*RESUME))[0] == 0
    resumed_at = town.mock.clock()
    for payment in watched:
        town.mock.scripts.pop(payment["payment_id"])
        charge = town.mock.books.charges[payment["payment_id"]]
        charge.script = parse_script({"pays_after_s": resumed_at - charge.created_at})
    await eventually(lambda: settled(town, 30), 30)
    assert not await town.count("SELECT count(*) FROM payments WHERE unresolved OR epoch > 0")
    await assert_every_step_was_asked_once(town)

    view = json.loads((await town.payonce("gateways", "list", "--json"))[1])
    assert [("paused", "ann", "their night of works"), ("resumed", "bob", None)] == [
        (line["kind"], line["by"], line["why"]) for line in view["journal"]
    ]
    for worker in town.workers:
        events = [line["event"] for line in worker.log_lines()]
        assert events.count("gateway.resumed") == 1
        assert events.count("gateway.paused") == events.count("daemon.started")


async def assert_every_step_was_asked_once(town: Town) -> None:
    """Compare the steps in the timeline with the gateway's own count."""
    rows = await town.rows(
        "SELECT payment_id, detail -> 'polls' AS polls FROM timeline WHERE kind = 'payment.settled'"
    )
    for row in rows:
        steps = [step for step, *_ in json.loads(row["polls"])]
        asked = len(town.mock.books.charges[row["payment_id"]].queried_at)
        assert list(range(asked)) == steps


async def settled(town: Town, count: int) -> bool:
    """Say whether so many payments have succeeded."""
    found = await town.count("SELECT count(*) FROM payments WHERE status = 'SUCCEEDED'")
    return found == count


async def test_a_paused_gateway_leaves_the_earlier_code_payable(town: Town, shop: Shop) -> None:
    """503 before anything is claimed, closed or sent; the shopper pays with the code he has."""
    earlier = (await shop.apply()).body["payment_id"]
    assert (await town.payonce(*PAUSE))[0] == 0
    await eventually(lambda: paused_there(shop))
    answers = [await shop.apply(), await shop.apply("o-2")]
    assert [(503, "gateway-paused")] * 2 == [(one.status, one.problem) for one in answers]
    assert "60" == answers[0].headers["Retry-After"]
    charge = town.mock.books.charges[earlier]
    assert ([earlier], None) == (list(town.mock.books.charges), charge.closed_at)
    assert 1 == await town.count("SELECT count(*) FROM payments")
    assert 1 == await town.count("SELECT count(*) FROM orders")
    assert "PENDING" == (await shop.payment(earlier)).body["status"]

    assert (await town.payonce(*RESUME))[0] == 0
    town.mock.scripts.pop(earlier, None)
    charge.script = parse_script({"pays_after_s": town.mock.clock() - charge.created_at})
    await eventually(lambda: settled(town, 1), 30)
    assert earlier == (await shop.order("o-1")).body["settled_by"]


async def paused_there(shop: Shop) -> bool:
    """Say whether the shop's worker has heard of the pause."""
    return 'payonce_gateway_state{gateway="mock"} 2.0' in await shop.metrics()


async def test_a_process_knows_what_is_paused_before_it_begins(town: Town) -> None:
    """Its services wait for that, so that no message is faster."""
    assert (await town.payonce(*PAUSE))[0] == 0
    async with open_world(load_settings(town.env)) as world:
        await prepare(world)
        assert {"mock"} == world.keeper.spared()


async def test_a_failing_gateway_is_spared_until_it_answers(town: Town) -> None:
    """Both processes leave it alone; when it recovers, every payment is settled."""
    paid = payments(40)
    town.open_charges(paid, pays_after_s=0.0)
    town.mock.profile = parse_profile({"error_percent": 100})
    await start_two(town)
    await town.publish("payment.initiated", paid)
    await eventually(lambda: town.rows("SELECT FROM gateways WHERE open_until IS NOT NULL"))
    opened_at = town.mock.clock()
    town.mock.profile = parse_profile({})
    [row] = await town.rows("SELECT open_until FROM gateways")
    until = row["open_until"].timestamp()
    await eventually(lambda: breaker(town, "ok"), 30)
    spared = [at for at in queries(town) if opened_at + HEARD_WITHIN_S < at < until]
    assert [] == spared

    await eventually(lambda: settled(town, 40), 30)
    view = json.loads((await town.payonce("gateways", "list", "--json"))[1])
    assert ["opened", "closed"] == [line["kind"] for line in view["journal"]]
    assert "calls fail" in view["journal"][0]["why"]
    assert not await town.count("SELECT count(*) FROM payments WHERE unresolved")


async def breaker(town: Town, state: str) -> bool:
    """Say whether the list shows this state."""
    view = json.loads((await town.payonce("gateways", "list", "--json"))[1])
    return bool(view["state"] == state)


@asynccontextmanager
async def rated_town(folder: Path, *servers: str) -> AsyncIterator[Town]:
    """Give a town whose gateway takes 20 calls a second, and that has an operator."""
    rated = {"PAYONCE_GATEWAYS__MOCK__RATE_PER_S": f"{RATE}"}
    async with open_town(folder, *servers, **rated) as town:
        yield town


async def test_a_rate_holds_over_two_processes(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> None:
    """Whatever the load, and it is used; a process more than the books know of would break it."""
    async with rated_town(tmp_path, postgres_dsn, amqp_url, redis_url) as town:
        many = payments(150)
        town.open_charges(many)
        await start_two(town)
        await town.publish("payment.initiated", many)
        await eventually(lambda: len(queries(town)) >= 10)
        first = queries(town)[0]
        await until(town, first + 8)

    asked = [at - first for at in queries(town)]
    in_a_second = max(sum(start <= at < start + 1 for at in asked) for start in asked)
    # A process more that counts for itself would make 30 a second of it, and 210 of seven.
    assert in_a_second <= 2 * RATE, in_a_second
    assert 0.7 * RATE * 7 <= sum(1 <= at < 8 for at in asked) <= RATE * 8


async def test_an_operator_pauses_over_http(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> None:
    """With a token, under that token's name; the lists are there too."""
    operators = {"PAYONCE_HTTP__OPERATORS": '{"ann": "token-of-ann"}'}
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **operators) as town:
        worker = town.worker()
        await worker.start()
        ann = {"Authorization": "Bearer token-of-ann"}
        base = f"http://127.0.0.1:{worker.port}/v1/ops"
        await town.publish("payment.initiated", [b"nonsense"])
        async with aiohttp.ClientSession(headers=ann) as session:

            async def get(path: str) -> Any:
                async with session.get(base + path) as answer:
                    assert answer.status == 200
                    return await answer.json()

            async def parked() -> Any:
                return (await get("/parked?limit=5"))["items"]

            [message] = await eventually(parked)
            assert ("nonsense", "payonce.initiated") == (message["body"], message["from"])
            for name in ("unresolved", "mismatched", "unacknowledged"):
                assert {"items": [], "cursor": None} == await get(f"/{name}?limit=5")
            async with session.post(base + "/parked/replay", json={"all": True}) as answer:
                assert {"replayed": 1, "left": [], "absent": 0} == await answer.json()
            async with session.post(
                base + "/gateways/mock/pause", json={"why": "their works"}
            ) as answer:
                assert "paused" == (await answer.json())["state"]
            [view] = (await get("/gateways"))["items"]
            assert ("paused", "ann", "their works") == (
                view["state"],
                view["paused_by"],
                view["paused_why"],
            )
            metric = 'payonce_gateway_state{gateway="mock"} 2.0'
            await eventually(lambda: shows(session, worker.port, metric))


async def shows(session: aiohttp.ClientSession, port: int, line: str) -> bool:
    """Say whether the metrics hold this line."""
    async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        return line in await answer.text()
