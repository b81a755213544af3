"""How the console says things, counts rungs, draws hours, and shares what it read."""

import asyncio
import inspect
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import payonce
from payonce.adapters.postgres.dashboard import Flight
from payonce.adapters.rabbitmq.parked import Parked
from payonce.bootstrap.parked import parked_view
from payonce.domain.decide import Verdict
from payonce.domain.errors import Unavailable
from payonce.domain.risk import Rule
from payonce.edge.console.charts import HEIGHT, WIDTH, layered, shares, stacked
from payonce.edge.console.dashboard import bounds_of, rungs_of
from payonce.edge.console.hours import OUTCOMES, hour_of
from payonce.edge.console.shelf import Shelf
from payonce.edge.console.words import _SENTENCES, RULES, age, lines_of, moment, money, printable
from payonce.ports.activity import LATENESS_S, Counted, Kind
from tests.handlers.fakes import FakeClock
from tests.store.making import NOW

LADDERS = {"mock": (3_000, 10_000, 30_000, 180_000), "slow": (60_000, 600_000)}


def test_every_kind_of_entry_has_a_sentence() -> None:
    """Whatever the code or the SQL writes into a timeline."""
    folder = Path(inspect.getfile(payonce)).parent
    kind = re.compile(r"""['"]((?:payment|order|refund|callback)\.[a-z_]+)['"]""")
    places = [
        *folder.joinpath("domain").glob("*.py"),
        *folder.joinpath("adapters/postgres/sql").glob("*.sql"),
    ]
    found = {one for place in places for one in kind.findall(place.read_text())}
    events = {"payment.initiated", "payment.succeeded", "refund.reason"}
    wanted = {one for one in found if one not in events} | {f"payment.{v}" for v in Verdict}
    assert set() == wanted - set(_SENTENCES)


def test_every_rule_is_explained() -> None:
    """In words."""
    assert set(Rule) == set(RULES)


def test_a_line_tells_its_facts_once() -> None:
    """Money in its currency's form; what the sentence leaves out stands behind it."""
    detail = {"reason": "declined", "source": "poll", "answer": "failed", "amount": 5, "x": None}
    [line] = lines_of([{"at": "t", "kind": "payment.failed", "payment_id": "p", "detail": detail}])
    assert ("The gateway said by poll that it failed: declined.", "answer failed") == (
        line.words,
        line.facts,
    )
    detail = {"amount": 1999, "currency": "CNY", "list": ["a", "b"]}
    [line] = lines_of([{"at": "t", "kind": "new.kind", "payment_id": None, "detail": detail}])
    assert ("new.kind.", "19.99 CNY, list a b") == (line.words, line.facts)


def test_a_limit_is_told_in_the_form_of_its_currency() -> None:
    """As the amount beside it is; one without a currency is what it is."""
    detail = {"refund_id": "r", "rule": "over-limit", "limit": 100_000, "amount": 150_000}
    entry = {"at": "t", "kind": "refund.held", "payment_id": "p"}
    for currency, limit in (("CNY", "1000.00 CNY"), ("JPY", "100000 JPY"), (None, "100000")):
        [line] = lines_of([{**entry, "detail": {**detail, "currency": currency}}])
        assert f"limit {limit}" == line.facts


def test_polls_stand_where_they_happened() -> None:
    """Before the entry that carries them."""
    entry = {
        "at": "2026-01-31T08:01:00.000Z",
        "kind": "payment.settled",
        "payment_id": "p-1",
        "detail": {"polls": [[0, 1769846403000, "pending"]], "source": "webhook"},
    }
    assert [("poll", "2026-01-31T08:00:03.000Z"), ("payment.settled", entry["at"])] == [
        (one.kind, one.at) for one in lines_of([entry])
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (19, "10 s ago"),
        (59, "50 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (7_200, "2 h ago"),
        (172_800, "2 d ago"),
        (-5, "in a moment"),
        (-90, "in 1 min"),
    ],
)
def test_an_age_is_coarse(seconds: int, words: str) -> None:
    """So that a page that did not change reads the same."""
    assert words == age((NOW - timedelta(seconds=seconds)).isoformat(), NOW)


def test_what_is_not_there_is_a_dash() -> None:
    """Or nothing."""
    assert ("-", "-", "") == (money(None, "CNY"), moment(None), age(None, NOW))
    assert "2026-01-31 08:00:00" == moment("2026-01-31T08:00:00.123Z")


def test_words_do_not_turn_the_line_around() -> None:
    """Nor hide anything."""
    assert "a\\u202eb\\n\\x00" == printable("a\u202eb\n\x00")


def test_payments_stand_on_the_rungs_of_their_own_gateway() -> None:
    """Whatever the others' ladders are; the last rung has no end."""
    bounds = bounds_of(LADDERS)
    assert [3, 13, 43, 60] == [int(one.total_seconds()) for one in bounds]
    flights = [
        *(Flight("mock", bound, 10**bound, 1, 0) for bound in range(5)),
        *(Flight("slow", bound, 10**bound, 0, 1) for bound in range(5)),
        Flight("gone", 4, 7, 0, 0),
    ]
    lines = {one.gateway: one for one in rungs_of(flights, bounds, LADDERS)}
    assert (1, 10, 100, 11_000) == lines["mock"].counts
    assert ("3 s", "10 s", "30 s", "3 min") == lines["mock"].names
    assert (1_111, 10_000) == lines["slow"].counts
    assert (11_111, 5, 0) == (lines["mock"].whole, lines["mock"].created, lines["mock"].closing)
    assert (7,) == lines["gone"].counts


def counted(
    minute: datetime | None, kind: Kind, name: str, count: int, source: str = ""
) -> Counted:
    """Return a sum, of one gateway where it is of no minute."""
    return Counted(minute, kind, None if minute else "mock", name, source, count)


def test_an_hour_is_drawn_from_its_sums() -> None:
    """Outcomes stacked, lateness by its quantiles, sources by their share, gateways in figures."""
    minute = NOW.replace(second=0, microsecond=0)
    rows = [
        counted(minute, Kind.DECIDED, "settled", 3, "poll"),
        counted(minute, Kind.DECIDED, "settled", 1, "webhook"),
        counted(minute, Kind.DECIDED, "failed", 4, "poll"),
        counted(minute, Kind.DECIDED, "ignored", 9, "poll"),
        counted(minute - timedelta(hours=1), Kind.DECIDED, "closed", 100, "poll"),
        counted(minute, Kind.LATE, "2", 99),
        counted(minute, Kind.LATE, str(len(LATENESS_S)), 1),
        counted(None, Kind.REGISTERED, "new", 3),
        counted(None, Kind.REGISTERED, "applied", 2),
        counted(None, Kind.REGISTERED, "same", 6),
        counted(None, Kind.DECIDED, "settled", 4, "poll"),
        counted(None, Kind.LATE, "2", 98),
        counted(None, Kind.LATE, str(len(LATENESS_S)), 2),
    ]
    hour = hour_of(rows, NOW)
    assert [("settled", HEIGHT / 2), ("failed", HEIGHT / 2)] == [
        (one.look, one.height) for one in hour.outcomes.bars
    ]
    assert "4 settled, 4 failed" in hour.outcomes.summary
    assert (75, 25, 0) == tuple(hour.percent(name) for name in ("poll", "webhook", "sweep"))
    [gateway] = hour.gateways
    assert (5, 4, 100) == (gateway.registered, gateway.outcomes["settled"], gateway.polls)
    assert ("5 ms", "over 60 s") == (gateway.p50, gateway.p99)
    assert ["p99 5 ms", "p50 5 ms"] == [one.tip[7:] for one in hour.lateness.bars]


def test_an_empty_hour_is_drawn_too() -> None:
    """Nothing is divided by."""
    hour = hour_of([], NOW)
    assert ((), (), ()) == (hour.outcomes.bars, hour.lateness.bars, hour.source_bars)
    assert 0 == hour.percent("poll")


def test_bars_stay_in_the_picture() -> None:
    """Also the smallest beside the largest."""
    columns = [(str(n), dict.fromkeys(OUTCOMES, 10.0**n)) for n in range(7)]
    parts = {"poll": 10**9, "webhook": 1}
    for bar in (
        *stacked(columns, OUTCOMES, "").bars,
        *layered(columns, OUTCOMES, "ms", "").bars,
        *shares(parts),
    ):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.1
        assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT + len(OUTCOMES)


class Reading:
    """Something to read that counts its readings."""

    def __init__(self) -> None:
        self.count = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        """Return how often this was read."""
        self.count += 1
        await self.may_end.wait()
        if self.error:
            raise self.error
        return self.count


@pytest.fixture
def reading() -> Reading:
    """A reading that ends at once."""
    reading = Reading()
    reading.may_end.set()
    return reading


async def test_who_looks_at_the_same_time_shares_a_reading(reading: Reading) -> None:
    """Also where the first of them has left."""
    shelf = Shelf(FakeClock())
    reading.may_end.clear()
    looks = [asyncio.create_task(shelf.get("x", reading)) for _ in range(3)]
    await asyncio.sleep(0)
    looks[0].cancel()
    reading.may_end.set()
    assert [1, 1] == await asyncio.gather(*looks[1:])


async def test_a_reading_is_kept_for_a_moment(reading: Reading) -> None:
    """However long it took; until somebody changes something."""
    clock = FakeClock()
    shelf = Shelf(clock)
    assert 1 == await shelf.get("x", reading)
    clock.move(1.4)
    assert 1 == await shelf.get("x", reading)
    clock.move(0.2)
    reading.may_end.clear()
    slow = asyncio.create_task(shelf.get("x", reading))
    await asyncio.sleep(0)
    clock.move(3)
    reading.may_end.set()
    assert 2 == await slow
    clock.move(1.6)
    assert 3 == await shelf.get("x", reading)
    shelf.clear()
    assert 4 == await shelf.get("x", reading)


async def test_counts_are_kept_for_so_many_times_as_long_as_they_took(reading: Reading) -> None:
    """A dashboard costs a database that is slow no more than one that is quick."""
    clock = FakeClock()
    shelf = Shelf(clock)
    reading.may_end.clear()
    slow = asyncio.create_task(shelf.get("x", reading, share=20))
    await asyncio.sleep(0)
    clock.move(3)
    reading.may_end.set()
    assert 1 == await slow
    clock.move(59)
    assert 1 == await shelf.get("x", reading, share=20)
    clock.move(2)
    assert 2 == await shelf.get("x", reading, share=20)


async def test_that_a_server_is_away_is_forgotten_soon(reading: Reading) -> None:
    """However long it took to find out."""
    clock = FakeClock()
    shelf = Shelf(clock)
    reading.error = Unavailable("postgresql", "away")
    with pytest.raises(Unavailable):
        await shelf.get("x", reading, share=20)
    clock.move(1.6)
    reading.error = None
    assert 2 == await shelf.get("x", reading, share=20)


async def test_that_a_server_is_away_is_kept_and_other_errors_are_not(reading: Reading) -> None:
    """A server that is away is not asked by every viewer."""
    shelf = Shelf(FakeClock())
    reading.error = Unavailable("postgresql", "away")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await shelf.get("x", reading)
    assert 1 == reading.count
    reading.error = KeyError("x")
    for _ in range(3):
        with pytest.raises(KeyError):
            await shelf.get("y", reading)
    assert 4 == reading.count


async def test_the_shelf_stays_small(reading: Reading) -> None:
    """Whatever is looked at."""
    shelf = Shelf(FakeClock())
    for number in range(1_000):
        await shelf.get(number, reading)
    assert 128 == len(shelf._kept)


@pytest.mark.parametrize(
    ("at_ms", "shown"),
    [(2**62, "9999-12-31T23:59:59.999Z"), (-(2**63), "0001-01-01T00:00:00.000Z")],
)
def test_a_time_that_there_is_not_hides_nothing(at_ms: int, shown: str) -> None:
    """A stranger's number in one message or poll: the nearest time, and all others are shown."""
    parked = Parked("m-1", "why", "q", at_ms, None, {}, b"{}")
    assert shown == parked_view(parked)["parked_at"]
    detail = {"polls": [[0, at_ms, "PENDING"]]}
    entry = {"at": shown, "kind": "payment.failed", "payment_id": "p-1", "detail": detail}
    assert [shown, shown] == [one.at for one in lines_of([entry])]
