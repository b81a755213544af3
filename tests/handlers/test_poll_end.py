"""How a watch ends: its last looks, late money, and a gateway that asks to be spared."""

from dataclasses import replace
from datetime import timedelta

import pytest

from payonce.domain.messages import Mode
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.times import to_ms
from payonce.ports.bus import DONE
from payonce.ports.cache import Seen
from tests.handlers.bench import Bench, due, next_poll
from tests.handlers.fakes import NOT_FOUND, PAID, PENDING, TERMS, UNKNOWN
from tests.store.making import NOW, later, success, word

EXPIRED = due(9, expires_ms=to_ms(NOW))


@pytest.mark.parametrize(
    ("last", "status", "unresolved", "told"),
    [
        (PAID, PaymentStatus.SUCCEEDED, False, ["payment.succeeded"]),
        (GatewayReport(Outcome.CLOSED), PaymentStatus.CLOSED, False, ["payment.closed"]),
        (NOT_FOUND, PaymentStatus.CLOSED, False, ["payment.closed"]),
        (PENDING, PaymentStatus.PENDING, True, ["payment.unresolved"]),
        (UNKNOWN, PaymentStatus.PENDING, True, ["payment.unresolved"]),
    ],
)
async def test_the_end_of_a_watch_closes_and_asks_a_last_time(
    bench: Bench,
    last: GatewayReport,
    status: PaymentStatus,
    unresolved: bool,
    told: list[str],
) -> None:
    """The query after the close is what counts; no definite word is never an invented failure."""
    await bench.registered()
    bench.gateway.will_say(PENDING, last)
    assert DONE == await bench.poll.handle(EXPIRED)
    assert ["query", "close", "query"] == bench.journal.of("query", "close")
    assert (status, unresolved) == (bench.payment().status, bench.payment().unresolved)
    assert (told, []) == (bench.told(), bench.bus.polls)
    assert "close" == bench.store.entries[-1].detail["source"]


async def test_an_unresolved_payment_is_looked_at_every_hour(bench: Bench) -> None:
    """The end of the watch is not the end of asking."""
    await bench.registered()
    await bench.poll.handle(EXPIRED)
    assert later(3_600) == bench.store.revive_at["p1"]


async def test_a_gateway_that_cannot_close_is_only_asked(bench: Bench) -> None:
    """The last query comes all the same."""
    await bench.registered()
    bench.gateway.terms = replace(TERMS, can_close=False)
    bench.gateway.will_say(PENDING, PAID)
    await bench.poll.handle(EXPIRED)
    assert ["query", "query"] == bench.journal.of("query", "close")
    assert PaymentStatus.SUCCEEDED is bench.payment().status


async def test_a_charge_unknown_after_its_expiry_was_never_created(bench: Bench) -> None:
    """A 404 is unknown until expires_at; then nobody can pay it any more."""
    await bench.registered()
    bench.gateway.will_say(NOT_FOUND)
    await bench.poll.handle(EXPIRED)
    assert PaymentStatus.CLOSED is bench.payment().status
    assert ["never-created"] == [event.data["reason"] for event in bench.bus.told]
    assert [] == bench.journal.of("close")


async def test_a_404_asked_for_before_the_expiry_proves_nothing_after_it(bench: Bench) -> None:
    """The charge may have been created and paid while the answer was under way."""
    await bench.registered()
    bench.gateway.will_say(NOT_FOUND)
    bench.gateway.while_asked = lambda: bench.clock.move(2)
    await bench.poll.handle(due(0, expires_ms=to_ms(NOW + timedelta(seconds=1))))
    assert PaymentStatus.PENDING is bench.payment().status
    assert 1 == next_poll(bench)[1].step


@pytest.mark.parametrize("report", [PENDING, UNKNOWN, NOT_FOUND])
async def test_a_clock_that_is_fast_here_alone_ends_no_watch(
    bench: Bench, report: GatewayReport
) -> None:
    """The database's clock has to agree, or a code that is still good would be closed."""
    await bench.registered()
    bench.store.now = lambda: NOW
    bench.clock.move(3 * 3_600)
    bench.gateway.will_say(report)
    await bench.poll.handle(due(0, expires_ms=to_ms(NOW + timedelta(hours=2))))
    assert (PaymentStatus.PENDING, False) == (bench.payment().status, bench.payment().unresolved)
    assert [] == bench.journal.of("close")
    assert 1 == next_poll(bench)[1].step


async def test_a_success_after_the_expiry_settles(bench: Bench) -> None:
    """Late money is money; nothing is closed."""
    await bench.registered()
    bench.gateway.will_say(PAID)
    await bench.poll.handle(EXPIRED)
    assert PaymentStatus.SUCCEEDED is bench.payment().status
    assert [] == bench.journal.of("close")


@pytest.mark.parametrize("report", [PENDING, UNKNOWN, NOT_FOUND])
async def test_a_single_look_never_goes_on(bench: Bench, report: GatewayReport) -> None:
    """Mode ONCE schedules, marks and records nothing but that it was answered."""
    await bench.registered()
    await bench.cache.mark_step("p1", 0, 6)
    bench.change("p1", step=6)
    bench.journal.calls.clear()
    bench.gateway.will_say(report)
    assert DONE == await bench.poll.handle(due(6, mode=Mode.ONCE))
    answered = [] if report is UNKNOWN else ["looked"]
    assert ["seen", "watch_states", "query", *answered] == bench.journal.calls


@pytest.mark.parametrize("last", [GatewayReport(Outcome.CLOSED), PAID])
async def test_a_single_look_past_the_expiry_closes_what_can_still_be_paid(
    bench: Bench, last: GatewayReport
) -> None:
    """The gateway was disturbed when the watch ended: nobody has to wait for a person for it."""
    await bench.registered()
    bench.change("p1", unresolved=True)
    bench.gateway.will_say(PENDING, last)
    assert DONE == await bench.poll.handle(replace(EXPIRED, mode=Mode.ONCE))
    assert ["query", "close", "query"] == bench.journal.of("query", "close")
    assert (last.outcome.name, False) == (bench.payment().status, bench.payment().unresolved)
    assert "sweep" == bench.store.entries[-1].detail["source"]


async def test_a_single_look_that_closes_in_vain_changes_nothing(bench: Bench) -> None:
    """Nobody is told a second time that it is unresolved."""
    await bench.registered()
    bench.change("p1", unresolved=True)
    bench.gateway.will_say(PENDING, PENDING)
    assert DONE == await bench.poll.handle(replace(EXPIRED, mode=Mode.ONCE))
    assert (PaymentStatus.PENDING, True) == (bench.payment().status, bench.payment().unresolved)
    assert ([], []) == (bench.told(), bench.bus.polls)


async def test_a_single_look_past_the_expiry_without_a_word_closes_nothing(bench: Bench) -> None:
    """The watch has ended before; without a word nothing changes."""
    await bench.registered()
    bench.change("p1", unresolved=True)
    bench.gateway.will_say(UNKNOWN)
    assert DONE == await bench.poll.handle(replace(EXPIRED, mode=Mode.ONCE))
    assert ["seen", "watch_states", "query"] == bench.journal.calls


@pytest.mark.parametrize("before", [Outcome.FAILED, Outcome.CLOSED])
async def test_a_single_look_finds_late_money(bench: Bench, before: Outcome) -> None:
    """It settles like any other success; its source is the sweep."""
    await bench.registered()
    await bench.heard(word("p1", before))
    bench.gateway.will_say(PAID)
    await bench.poll.handle(due(0, mode=Mode.ONCE))
    assert "payment.succeeded" == bench.bus.told[-1].type
    assert "sweep" == bench.bus.told[-1].data["source"]


async def test_a_single_look_spares_a_payment_that_succeeded(bench: Bench) -> None:
    """Its own success in the cache ends this poll too."""
    await bench.registered()
    await bench.heard(success())
    assert DONE == await bench.poll.handle(due(0, mode=Mode.ONCE))
    assert [] == bench.gateway.asked


SPARED = GatewayReport(Outcome.UNKNOWN, reason="paused", retry_after_s=5.0, spared=True)


async def test_a_spared_gateway_costs_its_payment_no_step(bench: Bench) -> None:
    """The same step comes back after a wait that covers the pause, and is marked nowhere."""
    await bench.registered()
    bench.gateway.will_say(SPARED, PENDING)
    assert DONE == await bench.poll.handle(due(1))
    wait_ms, message = next_poll(bench)
    assert (10_000, 1, ()) == (wait_ms, message.step, message.polls)
    assert Seen() == await bench.cache.seen("p1", 0, 1)
    assert [("mock", "paused")] == bench.meter.of("poll_dropped")
    assert DONE == await bench.poll.handle(message)
    assert [1, 2] == [one.step for _, one in bench.bus.polls]


async def test_a_watch_does_not_end_while_its_gateway_is_spared(bench: Bench) -> None:
    """Nobody asked, so nothing is known: neither unresolved nor never created."""
    await bench.registered()
    bench.clock.move(3 * 3_600)
    bench.gateway.will_say(SPARED)
    assert DONE == await bench.poll.handle(due(7))
    bench.gateway.will_say(PENDING, SPARED)
    assert DONE == await bench.poll.handle(due(7))
    assert [7, 7] == [message.step for _, message in bench.bus.polls]
    assert (PaymentStatus.PENDING, False) == (bench.payment().status, bench.payment().unresolved)


@pytest.mark.parametrize("report", [PENDING, NOT_FOUND, PAID])
async def test_a_watch_whose_terms_have_changed_is_not_ended_by_its_old_life(
    bench: Bench, report: GatewayReport
) -> None:
    """A repeat brought a later deadline: the new life of the watch carries it."""
    await bench.registered()
    bench.change("p1", epoch=1, expires_at=later(7_200))
    bench.clock.move(10)
    bench.gateway.will_say(report)
    assert DONE == await bench.poll.handle(due(0, expires_ms=to_ms(later(3))))
    assert ([], []) == (bench.gateway.asked, bench.bus.polls)
    assert [("mock", "older-epoch")] == bench.meter.of("poll_dropped")


async def test_a_first_poll_past_the_deadline_is_asked(bench: Bench) -> None:
    """That nothing was recorded yet does not mean that it was done."""
    await bench.registered()
    bench.clock.move(10)
    await bench.poll.handle(due(0, expires_ms=to_ms(later(3))))
    assert ["query", "close", "query"] == bench.journal.of("query", "close")
