"""What operators do with refunds and lists."""

from collections.abc import AsyncIterator

import pytest

from payonce.domain.errors import Conflict, InvalidField, UnknownId
from payonce.domain.ids import refund_id
from payonce.domain.refund import RefundStatus
from payonce.domain.report import Outcome
from tests.handlers.refund_bench import RF, RefundBench, opened_refunds
from tests.store.making import registration, success, word


@pytest.fixture
async def bench() -> AsyncIterator[RefundBench]:
    """A duplicate whose refund is REQUESTED."""
    async with opened_refunds() as bench:
        yield bench


async def test_a_request_waits_for_another(bench: RefundBench) -> None:
    """Eve asks, Eve may not approve, Ann may; then the money goes back."""
    bench.change(status=RefundStatus.FAILED)
    asked = await bench.desk.request("p2", 40, "eve", "half of it came broken")
    assert refund_id("p2", 2) == asked
    with pytest.raises(Conflict, match="own-request"):
        await bench.desk.approve(asked, "eve")
    await bench.desk.approve(asked, "ann")
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert [(asked, 40)] == [(one.refund_id, one.amount) for one in bench.gateway.moves]
    entries = [one for one in bench.bench.store.entries if one.kind == "refund.held"]
    assert [("eve", "half of it came broken")] == [
        (one.detail["by"], one.detail["why"]) for one in entries
    ]


async def test_the_winner_is_not_asked_for(bench: RefundBench) -> None:
    """By name."""
    with pytest.raises(Conflict, match="winner: p1 settled o1"):
        await bench.desk.request("p1", None, "eve", "-")


async def test_a_rejected_refund_is_told_and_not_sent(bench: RefundBench) -> None:
    """Nor looked at any more."""
    bench.change(status=RefundStatus.HELD, rule="over-limit")
    await bench.desk.reject(RF, "ann", "the shopper agreed to a voucher")
    await bench.look()
    assert RefundStatus.REJECTED is bench.refund().status
    assert ["refund.rejected"] == bench.bench.told()
    assert [] == bench.gateway.moves


async def test_a_manual_refund_is_resolved(bench: RefundBench) -> None:
    """The event tells that the money went back."""
    bench.change(status=RefundStatus.MANUAL)
    assert RF == await bench.desk.resolve(RF, "refunded-elsewhere", "ann", "by bank transfer")
    assert RefundStatus.SUCCEEDED is bench.refund().status
    assert ["refund.succeeded"] == bench.bench.told()


async def test_a_mismatched_payment_is_resolved_by_a_refund(bench: RefundBench) -> None:
    """HELD until another approves."""
    await bench.bench.registered(registration("p5", "o5"))
    await bench.bench.heard(success("p5", 70))
    asked = await bench.desk.resolve("p5", "refund", "eve", "the amount is wrong")
    assert asked is not None
    assert (RefundStatus.HELD, 70) == (bench.refund(asked).status, bench.refund(asked).amount)


async def test_an_unresolved_payment_is_resolved_and_still_asked_about(bench: RefundBench) -> None:
    """Late money comes as before, and settles."""
    await bench.bench.registered(registration("p5", "o5"))
    await bench.bench.heard(word("p5", Outcome.UNKNOWN, ended=True))
    revive_at = bench.bench.store.revive_at["p5"]
    assert None is await bench.desk.resolve("p5", "kept", "ann", "the gateway's support says so")
    assert revive_at == bench.bench.store.revive_at["p5"]
    assert bench.bench.payment("p5").unresolved
    await bench.bench.heard(success("p5"))
    assert "p5" == bench.bench.store.orders["o5"].settled_by


async def test_what_is_unknown_is_said_so(bench: RefundBench) -> None:
    """Each by what it is."""
    for call, kind in (
        (bench.desk.request("p0", None, "ann", "-"), "payment"),
        (bench.desk.approve("rf-0", "ann"), "refund"),
        (bench.desk.reject("rf-0", "ann", "-"), "refund"),
        (bench.desk.resolve("x", "kept", "ann", "-"), "payment or refund"),
    ):
        with pytest.raises(UnknownId) as caught:
            await call
        assert kind == caught.value.kind


async def test_a_word_without_a_name_changes_nothing(bench: RefundBench) -> None:
    """It names the field."""
    bench.change(status=RefundStatus.HELD, rule="over-limit")
    with pytest.raises(InvalidField, match="by: "):
        await bench.desk.approve(RF, "")
    with pytest.raises(InvalidField, match="why: "):
        await bench.desk.reject(RF, "ann", None)
    assert [] == bench.bench.journal.of("refunds.change")
