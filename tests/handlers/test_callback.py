"""What a callback does: to its payment, to its watch, to other people's payments."""

from dataclasses import replace

import pytest

from payonce.domain.messages import Mode
from payonce.domain.order import OrderStatus
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.times import to_ms
from payonce.ports.bus import DONE
from payonce.ports.gateway import ChargeRef, ChargeWord, RefundOutcome
from tests.handlers.bench import Bench, due
from tests.handlers.fakes import CLOSED, FAILED, NOT_FOUND, PAID, PENDING, UNKNOWN
from tests.handlers.reception import HINT, PAID_WORD, REFUND, Door
from tests.store.making import later, registration, success, word

REFUNDED = replace(PAID, refunded=40)


@pytest.fixture
def door(bench: Bench) -> Door:
    """A reception on fakes."""
    return Door(bench)


async def test_a_signed_success_settles_without_a_question(bench: Bench, door: Door) -> None:
    """The gateway's own word, told as the webhook's."""
    await bench.registered()
    await door.knock()
    assert ["settled"] == door.results()
    assert [] == bench.journal.of("query")
    assert [("mock", "settled", Source.WEBHOOK)] == bench.meter.of("payment_decided")
    assert (OrderStatus.PAID, ["payment.succeeded"]) == (
        bench.store.orders["o1"].status,
        bench.told(),
    )
    assert Source.WEBHOOK == bench.bus.told[0].data["source"]


async def test_the_watch_ends_with_its_next_poll_without_a_question(
    bench: Bench, door: Door
) -> None:
    """What the webhook settled, the cache remembers."""
    await bench.registered()
    await door.knock()
    assert DONE == await bench.poll.handle(due(1))
    assert ([], [("mock", "succeeded")]) == (
        bench.journal.of("query"),
        bench.meter.of("poll_dropped"),
    )


async def test_without_a_cache_the_watch_asks_once_more_and_ends(bench: Bench, door: Door) -> None:
    """Nothing is told twice."""
    await bench.registered()
    await door.knock()
    bench.cache._versions.clear()
    bench.gateway.will_say(PAID)
    await bench.poll.handle(due(1))
    assert (["query"], [], ["payment.succeeded"]) == (
        bench.journal.of("query"),
        bench.bus.polls,
        bench.told(),
    )


async def test_a_success_that_is_known_already_ends_at_the_cache(bench: Bench, door: Door) -> None:
    """The store is not asked about the payment."""
    await bench.registered()
    await bench.heard(success(ref="ref-1"))
    bench.journal.calls.clear()
    await door.knock()
    assert ["known"] == door.results()
    assert [] == bench.journal.of("find_payment", "settle", "query")


async def test_another_s_success_ends_no_callback(bench: Bench, door: Door) -> None:
    """The money of the second payment is not swallowed: it is a duplicate, and goes back."""
    await bench.registered(registration("p1"), registration("p2"))
    await bench.heard(success("p2", ref="ref-2"))
    await door.knock()
    assert ["duplicated"] == door.results()
    assert ["p1"] == [refund.payment_id for refund in bench.store.refunds]


@pytest.mark.parametrize(
    ("answer", "result", "status"),
    [
        (PAID, "settled", PaymentStatus.SUCCEEDED),
        (FAILED, "failed", PaymentStatus.FAILED),
        (CLOSED, "closed", PaymentStatus.CLOSED),
    ],
)
async def test_a_hint_is_a_reason_to_ask(
    bench: Bench, door: Door, answer: GatewayReport, result: str, status: PaymentStatus
) -> None:
    """What the gateway answers counts, not what the callback says."""
    await bench.registered(registration(ref="ref-1"))
    bench.gateway.will_say(answer)
    await door.knock(HINT)
    assert [ChargeRef("p1", "ref-1")] == bench.gateway.asked
    assert ([result], status) == (door.results(), bench.payment().status)


async def test_a_hint_that_reads_pending_starts_the_ladder_anew(bench: Bench, door: Door) -> None:
    """In a new epoch, from its first rung; the old chain dies at its first recorded step."""
    await bench.registered()
    bench.change("p1", step=9, epoch=2)
    await door.knock(HINT)
    assert ["watched"] == door.results()
    [(wait_ms, message)] = bench.bus.polls
    assert (3_000, 3_000 + to_ms(bench.clock.now())) == (wait_ms, message.due_ms)
    assert (3, 0, Mode.WATCH) == (message.epoch, message.step, message.mode)
    assert later(403 + 60) == bench.store.revive_at["p1"]
    await bench.poll.handle(replace(message, step=4))
    await bench.poll.handle(due(10, epoch=2))
    assert [("mock", "older-epoch")] == bench.meter.of("poll_dropped")
    assert 2 == len(bench.bus.polls)


@pytest.mark.parametrize("ended", [Outcome.FAILED, Outcome.CLOSED])
async def test_the_ladder_begins_anew_for_an_ended_payment_too(
    bench: Bench, door: Door, ended: Outcome
) -> None:
    """Late money is looked for closely, four times; the sweeper's looks stay as they were."""
    await bench.registered()
    await bench.heard(word("p1", ended))
    planned = bench.store.revive_at["p1"]
    await door.knock(HINT)
    for turn in range(5):
        await bench.poll.handle(bench.bus.polls[turn][1])
    assert (5, planned) == (len(bench.bus.polls), bench.store.revive_at["p1"])
    assert [("mock", ended.value)] == bench.meter.of("poll_dropped")


@pytest.mark.parametrize("answer", [UNKNOWN, NOT_FOUND, replace(UNKNOWN, spared=True)])
async def test_a_hint_without_an_answer_waits(
    bench: Bench, door: Door, answer: GatewayReport
) -> None:
    """It is asked again until there is one, and nothing is concluded."""
    await bench.registered()
    bench.gateway.will_say(answer, PAID)
    await door.knock(HINT)
    assert (["waits"], PaymentStatus.PENDING) == (door.results(), bench.payment().status)
    assert "no-word" in (door.row().problem or "")
    await door.sweep(2)
    assert ["waits", "settled"] == door.results()


async def test_a_gateway_that_wants_to_be_spared_is(bench: Bench, door: Door) -> None:
    """Its Retry-After is longer than our wait."""
    await bench.registered()
    bench.gateway.will_say(replace(UNKNOWN, retry_after_s=30.0), PAID)
    await door.knock(HINT)
    await door.sweep(29)
    assert ["waits"] == door.results()
    await door.sweep(1)
    assert ["waits", "settled"] == door.results()


async def test_an_old_success_is_asked_about(bench: Bench, door: Door) -> None:
    """What was true an hour ago need not be: a payment registered late, a replay."""
    await door.knock()
    await bench.registered()
    bench.gateway.will_say(REFUNDED)
    await door.sweep(3_600)
    assert ["waits", "mismatched"] == door.results()
    assert 1 == len(bench.gateway.asked)


async def test_a_stranger_is_tried_ever_more_rarely(bench: Bench, door: Door) -> None:
    """After a day four times a day: other programs may use the gateway's account, too."""
    await door.knock()
    await door.sweep(23 * 3_600)
    assert later(23 * 3_600 + 5) == door.row().revive_at
    await door.sweep(3_601)
    assert later((24 + 6) * 3_600 + 1) == door.row().revive_at
    await bench.registered()
    bench.gateway.will_say(PAID)
    await door.reception.take_up("p1")
    await door.reception.drain()
    assert "settled" == door.results()[-1]


async def test_a_callback_before_its_payment_waits(bench: Bench, door: Door) -> None:
    """And is applied at the registration, at once."""
    await door.knock()
    assert (["waits"], "not-registered") == (door.results(), door.row().problem)
    await bench.registered()
    await door.reception.take_up("p1")
    await door.reception.drain()
    assert ["waits", "settled"] == door.results()
    assert ["payment.succeeded"] == bench.told()


async def test_a_gateway_says_nothing_about_another_s_payment(bench: Bench, door: Door) -> None:
    """Its secret signs for its own charges alone."""
    await bench.registered(registration(gateway="elsewhere"))
    await door.knock()
    assert (["foreign"], PaymentStatus.PENDING) == (door.results(), bench.payment().status)
    assert "elsewhere" in (door.row().problem or "")


@pytest.mark.parametrize(
    ("authoritative", "heard"),
    [(True, RefundOutcome.SUCCEEDED), (False, RefundOutcome.UNKNOWN)],
)
async def test_our_refund_s_word_goes_to_our_refund(
    bench: Bench, door: Door, authoritative: bool, heard: RefundOutcome
) -> None:
    """The charge is not asked about, and no cache is looked at; a hint says nothing itself."""
    await bench.registered()
    await bench.heard(success(ref="ref-1"))
    bench.journal.calls.clear()
    door.refunds.ours.add("rf-1")
    await door.knock(replace(REFUND, authoritative=authoritative))
    [(refund_id, payment_id, report)] = door.refunds.told
    assert ("rf-1", "p1", heard) == (refund_id, payment_id, report.outcome)
    assert ["refund"] == door.results()
    assert [] == bench.journal.of("seen", "query")


@pytest.mark.parametrize(
    "told", [REFUND, ChargeWord("p1", REFUNDED)], ids=["refund", "charge with a refund"]
)
async def test_money_sent_back_past_us_reverses_the_winner(
    bench: Bench, door: Door, told: ChargeWord
) -> None:
    """The charge itself says how much; the cached success does not swallow it."""
    await bench.registered()
    await bench.heard(success(ref="ref-1"))
    bench.gateway.will_say(REFUNDED)
    await door.knock(told)
    assert ["reversed"] == door.results()
    assert ["payment.succeeded", "payment.reversed"] == bench.told()
    assert (40, 40) == (bench.payment().reversed_amount, bench.bus.told[-1].data["amount"])
    assert "payment.reversed" in {entry.kind for entry in bench.store.entries}


async def test_a_contradicting_callback_moves_nothing(bench: Bench, door: Door) -> None:
    """A paid order does not look unpaid because a gateway says "failed" later."""
    await bench.registered()
    await bench.heard(success(ref="ref-1"))
    bench.gateway.will_say(FAILED)
    await door.knock(HINT)
    assert ["ignored"] == door.results()
    assert OrderStatus.PAID is bench.store.orders["o1"].status


async def test_a_payment_that_succeeded_gets_no_new_watch(bench: Bench, door: Door) -> None:
    """Though its gateway reads pending now."""
    await bench.registered()
    await bench.heard(success(ref="ref-1"))
    bench.gateway.will_say(PENDING)
    await door.knock(HINT)
    assert ([], ["watched"]) == (bench.bus.polls, door.results())


async def test_a_gateway_that_is_not_configured_here_is_left_to_who_knows_it(
    bench: Bench, door: Door
) -> None:
    """The callback waits."""
    await bench.registered()
    bench.journal.away = {"finish"}
    await door.knock()
    bench.journal.away = set()
    bench.gateways.clear()
    await door.sweep(15)
    assert ["settled", "waits"] == door.results()
    assert "unknown-gateway" == door.row().problem


async def test_the_timeline_tells_the_callback_s_story(bench: Bench, door: Door) -> None:
    """That it came, what it did, what became of it."""
    await bench.registered()
    await door.knock(PAID_WORD)
    kinds = [entry.kind for entry in bench.store.entries]
    assert ["callback.received", "payment.settled", "callback.processed"] == kinds[-3:]
    assert "settled" == bench.store.entries[-1].detail["result"]
