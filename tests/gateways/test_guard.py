"""A guarded gateway is asked, or it is told why not; what one process sees, all of them heed."""

import asyncio

import pytest

from payonce.domain.errors import GatewayAmbiguous, GatewayRetryable, Unavailable
from payonce.gateways.breaker import FAILURES, LONGEST, SHORTEST, TRIAL_S
from payonce.gateways.gate import LONGEST_PAUSE_WAIT_S
from payonce.gateways.keeper import DEAD_AFTER
from tests.gateways.guarding import CHARGE, SPARED, Process, Town, use_all
from tests.gateways.rigs import NEW_CHARGE, NEW_REFUND
from tests.handlers.fakes import PENDING, FakeClock
from tests.support.waiting import eventually

OPEN_S = SHORTEST.total_seconds()
CALLS = ["query", "close", "query_refund", "refund", "create"]


@pytest.fixture
def town() -> Town:
    """Two processes without a rate."""
    return Town()


async def test_in_good_times_every_call_goes_through(town: Town) -> None:
    """And its answer comes back as it is."""
    await town.keep()
    found = await use_all(town.one)
    assert PENDING == found["query"]
    assert CALLS == town.one.bare.calls
    assert [] == town.one.meter.of("gateway_spared")


async def test_a_pause_holds_in_every_process_and_for_every_call(town: Town) -> None:
    """Each call says who paused it, or that nothing was asked."""
    await town.board.pause("mock", "ann", "works", town.clock.now())
    await town.keep()
    for process in (town.one, town.two):
        assert SPARED == await use_all(process)
        assert [] == process.bare.calls
        assert [("mock", call, "paused") for call in CALLS] == process.meter.of("gateway_spared")
        assert {"mock"} == process.keeper.spared()
        assert ("mock", 2) == process.meter.of("gateway_state")[-1]


async def test_a_resume_lets_calls_go_again(town: Town) -> None:
    """In every process."""
    await town.board.pause("mock", "ann", "works", town.clock.now())
    await town.keep()
    await town.board.resume("mock", "ann", None, town.clock.now())
    await town.keep()
    assert [["asked"], ["asked"]] == [await town.one.ask(), await town.two.ask()]
    assert set() == town.one.keeper.spared()


async def test_the_longer_a_pause_the_rarer_the_looks(town: Town) -> None:
    """So a long one costs few messages, and a short one little time."""
    await town.board.pause("mock", "ann", "works", town.clock.now())
    await town.keep()
    waits = []
    for seconds in (0, 20, 3_600):
        town.clock.move(seconds)
        waits.append((await town.one.gateway.query(CHARGE)).retry_after_s)
    assert [1.0, 20.0, LONGEST_PAUSE_WAIT_S] == waits


@pytest.mark.parametrize("mood", ["no-answer", "5xx"])
async def test_failures_open_the_breaker_in_every_process(town: Town, mood: str) -> None:
    """At once in the one that sees them, in the others with their next turn; with the reason."""
    town.one.bare.mood = mood
    await town.keep()
    assert ["asked"] * FAILURES + ["breaker-open"] * 2 == await town.one.ask(FAILURES + 2)
    assert ["asked"] == await town.two.ask()
    await town.keep()
    assert ["breaker-open"] == await town.two.ask()
    assert [("opened", f"calls fail, the last one with {mood}")] == [
        (one.kind, one.why) for one in town.board.lines
    ]
    assert ("mock", 1) == town.two.meter.of("gateway_state")[-1]


@pytest.mark.parametrize("call", ["query", "close", "query_refund", "refund", "create"])
async def test_every_kind_of_call_counts(town: Town, call: str) -> None:
    """Whether its answer tells of the failure or not."""
    town.one.bare.mood = "5xx"
    for _ in range(FAILURES):
        try:
            match call:
                case "refund":
                    await town.one.gateway.refund(NEW_REFUND)
                case "create":
                    await town.one.gateway.create(NEW_CHARGE)
                case "query_refund":
                    await town.one.gateway.query_refund("rf-1", CHARGE)
                case _:
                    await getattr(town.one.gateway, call)(CHARGE)
        except GatewayAmbiguous:
            continue
    assert ["breaker-open"] == await town.one.ask()


@pytest.mark.parametrize("mood", ["2xx", "3xx", "4xx"])
async def test_a_gateway_that_answers_is_not_broken(town: Town, mood: str) -> None:
    """However slowly, and whatever it says."""
    town.one.bare.mood = mood
    assert ["asked"] * 30 == await town.one.ask(30)


async def test_an_answer_between_failures_keeps_it_closed(town: Town) -> None:
    """Only failures in a row count."""
    for _ in range(5):
        town.one.bare.mood = "5xx"
        await town.one.ask(FAILURES - 1)
        town.one.bare.mood = "2xx"
        assert ["asked"] == await town.one.ask()


async def open_breaker(town: Town) -> None:
    """Let the first process see failures, and both keepers carry them."""
    town.one.bare.mood = town.two.bare.mood = "5xx"
    await town.keep()
    await town.one.ask(FAILURES)
    await town.keep()


async def test_when_the_time_is_over_each_process_tries_once(town: Town) -> None:
    """The other calls wait for the trial's end."""
    await open_breaker(town)
    town.clock.move(OPEN_S)
    town.one.bare.gate.clear()
    trial = asyncio.create_task(town.one.ask())
    await eventually(lambda: len(town.one.bare.calls) == FAILURES + 1)
    assert ["breaker-open"] * 3 == await town.one.ask(3)
    assert set() == town.one.keeper.spared()
    town.one.bare.gate.set()
    assert ["asked"] == await trial


async def test_an_answered_trial_closes_for_all(town: Town) -> None:
    """With a line in the journal, and the openings forgotten."""
    await open_breaker(town)
    town.clock.move(OPEN_S)
    town.one.bare.mood = town.two.bare.mood = "2xx"
    assert ["asked"] * 5 == await town.one.ask(5)
    await town.keep()
    assert ["asked"] * 5 == await town.two.ask(5)
    assert ["opened", "closed"] == [one.kind for one in town.board.lines]
    assert 0 == town.board.by_name["mock"].openings


async def test_a_failed_trial_opens_for_twice_as_long(town: Town) -> None:
    """For all."""
    await open_breaker(town)
    town.clock.move(OPEN_S)
    assert ["asked", "breaker-open"] == await town.one.ask(2)
    await town.keep()
    town.clock.move(2 * OPEN_S - 1)
    assert [["breaker-open"]] * 2 == [await town.one.ask(), await town.two.ask()]
    town.clock.move(1)
    assert ["asked"] == await town.two.ask()
    assert 2 == town.board.by_name["mock"].openings


async def test_a_trial_that_never_ends_is_followed_by_another(town: Town) -> None:
    """One that was cancelled, say."""
    await open_breaker(town)
    town.clock.move(OPEN_S)
    town.one.bare.gate.clear()
    trial = asyncio.create_task(town.one.ask())
    await eventually(lambda: len(town.one.bare.calls) == FAILURES + 1)
    trial.cancel()
    town.one.bare.gate.set()
    assert ["breaker-open"] == await town.one.ask()
    town.clock.move(TRIAL_S)
    assert ["asked"] == await town.one.ask()


async def test_without_the_board_the_last_known_state_holds(town: Town) -> None:
    """Pauses stay, the own breaker works, and what was not told is told later."""
    await town.keep()
    town.board.away = True
    town.one.bare.mood = "5xx"
    await town.one.ask(FAILURES)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await town.one.keep()
        assert ["breaker-open"] == await town.one.ask()
    assert ["asked"] == await town.two.ask()
    town.board.away = False
    await town.keep()
    assert ["breaker-open"] == await town.two.ask()


@pytest.mark.parametrize("call", ["query", "refund", "create"])
async def test_a_gateway_that_asks_for_time_gets_it(town: Town, call: str) -> None:
    """From this process, for as long as it asked, and it is no failure."""
    town.one.bare.mood = "busy"
    match call:
        case "query":
            await town.one.gateway.query(CHARGE)
        case "refund":
            with pytest.raises(GatewayRetryable):
                await town.one.gateway.refund(NEW_REFUND)
        case _:
            with pytest.raises(GatewayRetryable):
                await town.one.gateway.create(NEW_CHARGE)
    town.one.bare.mood = "2xx"
    town.clock.move(29.9)
    assert ["retry-after"] == await town.one.ask()
    assert ["asked"] == await town.two.ask()
    town.clock.move(0.1)
    assert ["asked"] == await town.one.ask()
    assert town.one.gate.free
    assert [] == town.board.lines


async def test_the_rate_is_shared_by_those_that_live() -> None:
    """Eight a second are four each; a call waits for its turn, or is put off."""
    town = Town(rate_per_s=8)
    await town.keep()
    asked = [asyncio.create_task(town.one.ask()) for _ in range(20)]
    await eventually(lambda: sum(one.done() for one in asked) >= 14)
    for _ in range(8):
        town.clock.move(0.125)
        await asyncio.sleep(0)
    found = [(await one)[0] for one in asked]
    assert (5, 15) == (found.count("asked"), found.count("rate"))


async def test_the_share_grows_when_another_process_leaves() -> None:
    """Or dies."""
    town = Town(rate_per_s=10)
    await town.keep()
    assert 5 == town.one.share_per_s()
    await town.two.keeper.leave()
    await town.one.keep()
    assert 10 == town.one.share_per_s()
    town.two.keeper._asks = True
    await town.keep()
    assert 5 == town.one.share_per_s()
    town.clock.move(DEAD_AFTER.total_seconds() + 1)
    await town.one.keep()
    assert 10 == town.one.share_per_s()


async def test_a_call_whose_gateway_is_paused_while_it_waits_does_not_go() -> None:
    """Its turn is lost, nothing else."""
    town = Town(rate_per_s=4)
    await town.keep()
    await town.one.ask()
    waiting = asyncio.create_task(town.one.ask())
    await eventually(lambda: town.clock.slept_s)
    await town.board.pause("mock", "ann", "works", town.clock.now())
    await town.one.keep()
    town.clock.move(1)
    assert ["paused"] == await waiting


async def test_a_poll_costs_the_board_nothing(town: Town) -> None:
    """However many there are."""
    await town.keep()
    town.board.away = True
    assert ["asked"] * 50 == await town.one.ask(50)


async def test_the_keeper_lives_through_an_outage(town: Town) -> None:
    """Turn after turn, about once a second."""
    town.board.away = True
    running = asyncio.create_task(town.one.keeper.run())
    await eventually(lambda: town.clock.slept_s)
    assert 0.9 <= town.clock.slept_s[0] <= 1.0
    town.board.away = False
    town.clock.move(1)
    await eventually(lambda: town.board.seen_at)
    running.cancel()
    await asyncio.wait([running])


async def test_a_breaker_that_opens_while_the_board_is_read_stays_open(town: Town) -> None:
    """What the board does not know yet is not overruled by what it says."""
    town.one.bare.mood = "5xx"
    town.board.meanwhile = lambda: town.one.ask(FAILURES)
    await town.one.keep()
    assert ["breaker-open"] == await town.one.ask()
    await town.keep()
    assert ["breaker-open"] == await town.two.ask()


async def test_a_breaker_that_opens_while_its_closing_is_told_is_told_too(town: Town) -> None:
    """The later change is not lost with the earlier."""
    await open_breaker(town)
    town.clock.move(OPEN_S)
    town.one.bare.mood = "2xx"
    await town.one.ask()
    town.one.bare.mood = "5xx"
    town.board.meanwhile = lambda: town.one.ask(FAILURES)
    await town.keep()
    assert ["opened", "closed", "opened"] == [one.kind for one in town.board.lines]
    assert ["breaker-open"] == await town.two.ask()


@pytest.mark.parametrize("ahead_s", [3_600, -3_600])
async def test_a_clock_that_is_wrong_spares_nobody_for_long(ahead_s: float) -> None:
    """One process's opening lasts as long as it says in all the others."""
    town = Town()
    wrong = FakeClock()
    wrong.move(ahead_s)
    town.one = Process(wrong, town.board)
    town.one.bare.mood = "5xx"
    await town.one.ask(FAILURES)
    await town.keep()
    assert ["breaker-open"] == await town.two.ask()
    town.clock.move(OPEN_S)
    await town.two.keep()
    assert ["asked"] == await town.two.ask()


async def test_a_clock_that_is_behind_spares_its_own_process_for_minutes_at_most() -> None:
    """However often it reads that the opening lasts until what looks like much later."""
    town = Town()
    behind = FakeClock()
    behind.move(-3_600)
    town.two = Process(behind, town.board)
    await open_breaker(town)
    longest_s = LONGEST.total_seconds()
    for _ in range(3):
        assert ["breaker-open"] == await town.two.ask()
        behind.move(longest_s / 3)
        await town.two.keep()
    assert ["asked"] == await town.two.ask()
