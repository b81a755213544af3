"""What every store of applications does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pytest

from payonce.adapters.postgres.applications import Applications as PostgresApplications
from payonce.adapters.postgres.database import Database
from payonce.domain.application import Application, Applied, Policy
from payonce.domain.claim import (
    Claim,
    Confirmation,
    Creation,
    Fresh,
    Refusal,
    Refused,
    Resumed,
    Shared,
    claim,
    confirm,
    never_created,
    refused,
)
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.ports.applications import Applications
from payonce.ports.store import Revival
from tests.store.applying import FakeApplications
from tests.store.fake import FakeStore
from tests.store.making import (
    EXPIRES,
    NOW,
    Store,
    facts,
    later,
    register,
    registration,
    settle,
    store_on,
    success,
    word,
)

EVENTS = (later(3_600), later(3_600), later(3_601), 100)


@dataclass(frozen=True)
class Applying:
    """The port, and the others that see the same rows."""

    applications: Applications
    store: Store

    async def claim(
        self, wanted: Application, now: datetime = NOW, policy: Policy = Policy.CANCEL
    ) -> Claim:
        """Claim by the rules."""

        def judge(order: Order | None, known: Sequence[Applied], _count: int) -> Claim:
            return claim(wanted, order, known, policy, now)

        return await self.applications.claim(wanted, later(600), judge)

    async def confirm(
        self, payment_id: str, ref: str | None = "g1", at: datetime = NOW, applicants: int = 1
    ) -> Confirmation:
        """Confirm a created charge by the rules."""
        report = GatewayReport(Outcome.PENDING, ref, 100, "CNY")
        link = f"https://pay/{payment_id}"
        creation = Creation(at, 1, applicants, report, qr="qr", pay_url=link)
        judge = partial(confirm, creation=creation)
        return await self.applications.confirm(payment_id, ref, judge)

    async def end(self, payment_id: str, report: GatewayReport, at: datetime) -> Confirmation:
        """Conclude from never having been let in."""
        judge = partial(confirm, creation=Creation(at, 1, 1, ended=report))
        return await self.applications.confirm(payment_id, None, judge)

    async def initiated(self) -> list[str]:
        """Return the ids of payments whose watch is to start, from the outbox."""
        rows = await self.store.outbox.claim_events(*EVENTS)
        return [row.data["payment_id"] for row in rows if row.type == "payment.initiated"]


@pytest.fixture(params=["fake", "postgres"])
def applying(request: pytest.FixtureRequest) -> Applying:
    """Each store in turn."""
    if request.param == "fake":
        fake = FakeStore()
        return Applying(FakeApplications(fake), Store(fake, fake, fake, fake, fake, fake, fake))
    database: Database = request.getfixturevalue("database")
    return Applying(PostgresApplications(database), store_on(database))


def application(payment_id: str = "a1", **changed: object) -> Application:
    """Return an application with everything ordinary but what is given."""
    plain = Application(payment_id, "o1", "mock", 100, "CNY", EXPIRES, NOW, f"trace-{payment_id}")
    return replace(plain, **changed)  # type: ignore[arg-type]


async def forgotten(store: Store, now: datetime) -> list[str]:
    """Return the payments that the sweeper would look after."""
    seen: list[str] = []

    def look(found: Sequence[Payment]) -> list[Revival]:
        seen.extend(one.payment_id for one in found)
        return []

    await store.watches.revive(now, 10, look)
    return seen


async def test_a_claim_opens_the_order_and_writes_the_payment_as_created(
    applying: Applying,
) -> None:
    """With its event in the outbox: the watch starts by the road of all payments."""
    claimed = await applying.claim(application())
    assert isinstance(claimed, Fresh)
    stored = (await facts(applying.store, "a1"))["a1"]
    assert (claimed.applied.payment, claimed.order) == (stored.payment, stored.order)
    assert PaymentStatus.CREATED is stored.payment.status
    assert (100, "CNY", 1) == (stored.order.amount, stored.order.currency, stored.order.version)
    assert ["a1"] == await applying.initiated()


async def test_the_event_of_a_claim_registers_the_same(applying: Applying) -> None:
    """What goes over the bus changes nothing in the row."""
    await applying.claim(application())
    repeat = registration("a1", expires_at=EXPIRES)
    [registered] = await register(applying.store, repeat)
    assert "same" == registered.outcome
    assert registered.payment is not None
    assert PaymentStatus.CREATED is registered.payment.status


async def test_a_claimed_payment_is_looked_after(applying: Applying) -> None:
    """Where its process dies at once, the sweeper takes it up."""
    await applying.claim(application())
    assert ["a1"] == await forgotten(applying.store, later(601))


async def test_a_click_while_the_first_is_in_hand_shares_its_payment(applying: Applying) -> None:
    """Nothing new is written."""
    await applying.claim(application("a1"))
    again = await applying.claim(application("a2", arrived_at=later(1)), later(1))
    assert isinstance(again, Shared)
    assert "a1" == again.applied.payment.payment_id
    assert {"a1"} == set(await facts(applying.store, "a1", "a2"))


async def test_a_click_after_the_answer_takes_its_place(applying: Applying) -> None:
    """The earlier payment shall be closed, durably, and the later one is a payment of its own."""
    await applying.claim(application("a1"))
    await applying.confirm("a1", at=later(2))
    during = await applying.claim(application("a2", arrived_at=later(2)), later(3))
    assert isinstance(during, Shared)
    after = await applying.claim(application("a3", arrived_at=later(3)), later(3))
    assert isinstance(after, Fresh)
    assert ["a1"] == [one.payment_id for one in after.superseded]
    stored = await facts(applying.store, "a1", "a3")
    assert ("superseded", None) == (stored["a1"].payment.closing, stored["a3"].payment.closing)
    assert ["a1"] == await forgotten(applying.store, later(3 + 120))


async def test_an_order_that_is_over_takes_no_payment(applying: Applying) -> None:
    """Paid, cancelled, or over another amount: nothing is written."""
    await register(applying.store, registration("p1", "o1"))
    await settle(applying.store, success("p1"))
    await applying.store.orders.cancel("o2", NOW)
    await register(applying.store, registration("p3", "o3"))
    refusals = [
        await applying.claim(application("a1", order_id="o1")),
        await applying.claim(application("a2", order_id="o2")),
        await applying.claim(application("a3", order_id="o3", amount=99)),
        await applying.claim(application("a4", order_id="o3", currency="USD")),
        await applying.claim(application("a5", order_id="o4", amount=None, currency=None)),
    ]
    assert [
        Refusal.ORDER_PAID,
        Refusal.ORDER_CANCELLED,
        Refusal.AMOUNT_DIFFERS,
        Refusal.AMOUNT_DIFFERS,
        Refusal.NOT_FOUND,
    ] == [one.refusal for one in refusals if isinstance(one, Refused)]
    assert {} == await facts(applying.store, "a1", "a2", "a3", "a4", "a5")


async def test_what_is_refused_opens_no_order(applying: Applying) -> None:
    """The price of an order is fixed by its first payment, not by one that never was."""
    no = Refused(Refusal.GATEWAY_PAUSED, None)
    wanted = application()
    assert no == await applying.applications.claim(
        wanted, later(600), lambda _order, _known, _count: no
    )
    dearer = await applying.claim(replace(wanted, payment_id="a2", amount=200))
    assert isinstance(dearer, Fresh)
    assert (200, ("a2",)) == (dearer.order.amount, (dearer.applied.payment.payment_id,))


async def test_a_shopper_pays_at_the_orders_price(applying: Applying) -> None:
    """An application without a price takes the one of the first payment."""
    await register(applying.store, registration("p1"))
    chosen = application("a1", gateway="other", amount=None, currency=None)
    claimed = await applying.claim(chosen)
    assert isinstance(claimed, Fresh)
    payment = claimed.applied.payment
    assert (100, "CNY", "other") == (payment.amount, payment.currency, payment.gateway)


async def test_a_confirmed_payment_is_pending_and_can_be_shown(applying: Applying) -> None:
    """What the shopper is shown is stored before the answer."""
    await applying.claim(application())
    confirmed = await applying.confirm("a1", at=later(1))
    found = await applying.applications.applied("a1")
    assert found is not None
    order, applied = found
    assert (confirmed.order, confirmed.applied) == (order, applied)
    assert (PaymentStatus.PENDING, "g1") == (applied.payment.status, applied.payment.gateway_ref)
    assert ("qr", "https://pay/a1") == (applied.qr, applied.pay_url)
    assert (later(1), None) == (applied.answered_at, applied.shared_until)


async def test_what_was_superseded_meanwhile_is_not_shown(applying: Applying) -> None:
    """Its charge is known, so that it can be closed; its link is not given to anybody."""
    await applying.claim(application("a1"))
    # The first one's process is taken for dead.
    await applying.claim(application("a2", arrived_at=later(61)), later(61))
    confirmed = await applying.confirm("a1", at=later(62))
    assert "superseded" == confirmed.applied.payment.closing
    assert (None, None) == (confirmed.applied.qr, confirmed.applied.pay_url)
    stored = (await facts(applying.store, "a1"))["a1"].payment
    assert (PaymentStatus.PENDING, "g1") == (stored.status, stored.gateway_ref)


async def test_what_was_paid_meanwhile_stays_paid(applying: Applying) -> None:
    """A success that a poll found before the create was answered is not taken back."""
    await applying.claim(application())
    await settle(applying.store, success("a1", ref="g1"))
    confirmed = await applying.confirm("a1", at=later(1))
    assert PaymentStatus.SUCCEEDED is confirmed.applied.payment.status
    assert OrderStatus.PAID is confirmed.order.status
    assert "a1" == confirmed.order.settled_by


async def test_anothers_charge_is_a_mismatch(applying: Applying) -> None:
    """A gateway_ref belongs to one payment; a person must look, and is told."""
    await register(applying.store, registration("p1", "o9", ref="g1"))
    await applying.claim(application())
    confirmed = await applying.confirm("a1", "g1", at=later(1))
    stored = (await facts(applying.store, "a1"))["a1"].payment
    assert MismatchReason.GATEWAY_REF_TAKEN is stored.mismatched
    assert (None, PaymentStatus.CREATED) == (stored.gateway_ref, stored.status)
    assert (None, None) == (confirmed.applied.qr, confirmed.applied.pay_url)
    assert 1 == (await applying.store.overview.backlog()).mismatched
    rows = await applying.store.outbox.claim_events(*EVENTS)
    assert ["payment.initiated", "payment.mismatched"] == sorted(row.type for row in rows)


@pytest.mark.parametrize(
    ("report", "status", "event"),
    [
        (refused("http-422 no"), PaymentStatus.FAILED, "payment.failed"),
        (never_created(), PaymentStatus.CLOSED, "payment.closed"),
    ],
)
async def test_what_was_provably_not_taken_has_ended(
    applying: Applying, report: GatewayReport, status: PaymentStatus, event: str
) -> None:
    """It is told, and looked at once more after ten minutes."""
    await applying.claim(application("a1"))
    await applying.end("a1", report, later(1))
    assert status is (await facts(applying.store, "a1"))["a1"].payment.status
    [told] = [
        row
        for row in await applying.store.outbox.claim_events(*EVENTS)
        if row.type != "payment.initiated"
    ]
    assert (event, report.reason, 2) == (
        told.type,
        told.data["reason"],
        told.data["order_version"],
    )
    assert [] == await forgotten(applying.store, later(600))
    assert ["a1"] == await forgotten(applying.store, later(601))


async def test_nothing_is_concluded_where_another_may_have_sent_it(applying: Applying) -> None:
    """Another process has joined, or gone on in the first one's place: only the gateway knows."""
    await applying.claim(application("a1"))
    await applying.claim(application("a2", arrived_at=later(1)), later(1))
    await applying.claim(application("b1", order_id="o2"))
    await applying.claim(application("b1", order_id="o2", arrived_at=later(99)), later(99))
    for payment_id in ("a1", "b1"):
        await applying.end(payment_id, never_created(), later(100))
        stored = (await facts(applying.store, payment_id))[payment_id].payment
        assert PaymentStatus.CREATED is stored.status


async def test_a_burst_is_shared_for_two_seconds_longer(applying: Applying) -> None:
    """Three at once have more on their way; each that comes prolongs it."""
    await applying.claim(application("a1"))
    await applying.confirm("a1", at=later(1), applicants=3)
    second = await applying.claim(application("a2", arrived_at=later(2.9)), later(2.9))
    third = await applying.claim(application("a3", arrived_at=later(4.8)), later(4.8))
    late = await applying.claim(application("a4", arrived_at=later(6.9)), later(6.9))
    assert ["a1", "a1"] == [
        one.applied.payment.payment_id for one in (second, third) if isinstance(one, Shared)
    ]
    assert isinstance(late, Fresh)


async def test_the_same_application_again_goes_on(applying: Applying) -> None:
    """A repeat under the same payment id, whose first try died, makes no second payment."""
    await applying.claim(application("a1"))
    again = await applying.claim(application("a1", arrived_at=later(300)), later(300))
    assert isinstance(again, Resumed)
    await applying.confirm("a1", at=later(301))
    answered = await applying.claim(application("a1", arrived_at=later(302)), later(302))
    assert isinstance(answered, Shared)
    assert "qr" == answered.applied.qr


async def test_by_policy_the_pending_one_is_answered_again(applying: Applying) -> None:
    """`reuse`: the same gateway gets the same payment; another gateway closes it."""
    await applying.claim(application("a1"), policy=Policy.REUSE)
    await applying.confirm("a1", at=later(1))
    late = application("a2", arrived_at=later(60))
    again = await applying.claim(late, later(60), Policy.REUSE)
    assert isinstance(again, Shared)
    assert ("a1", True) == (again.applied.payment.payment_id, again.reused)
    other = replace(late, payment_id="a3", gateway="other")
    fresh = await applying.claim(other, later(60), Policy.REUSE)
    assert isinstance(fresh, Fresh)
    assert ["a1"] == [one.payment_id for one in fresh.superseded]


async def test_by_policy_both_run(applying: Applying) -> None:
    """`allow`: nothing is superseded."""
    await applying.claim(application("a1"), policy=Policy.ALLOW)
    await applying.confirm("a1", at=later(1))
    late = application("a2", arrived_at=later(60))
    fresh = await applying.claim(late, later(60), Policy.ALLOW)
    assert isinstance(fresh, Fresh)
    assert () == fresh.superseded
    assert None is (await facts(applying.store, "a1"))["a1"].payment.closing


@pytest.mark.parametrize("is_known", [False, True])
async def test_claims_of_one_order_at_once_are_one_payment(
    database: Database, postgres_store: Store, is_known: bool
) -> None:
    """Fifty transactions at the same moment: the row's lock lets one of them insert."""
    applying = Applying(PostgresApplications(database), postgres_store)
    if is_known:
        await register(postgres_store, registration("p0"))
        await settle(postgres_store, word("p0", Outcome.FAILED))
    claims = await asyncio.gather(*(applying.claim(application(f"a{n}")) for n in range(50)))
    assert 1 == sum(isinstance(one, Fresh) for one in claims)
    assert 49 == sum(isinstance(one, Shared) for one in claims)
    [row] = await database.fetch("SELECT count(*) FROM payments WHERE status = 'CREATED'")
    assert 1 == row["count"]


async def test_a_reference_that_is_taken_in_between_is_seen(
    database: Database, postgres_store: Store
) -> None:
    """Two confirms with one gateway_ref at once: the index refuses one, which then knows why."""
    applying = Applying(PostgresApplications(database), postgres_store)
    names = [f"a{n}" for n in range(8)]
    for name in names:
        await applying.claim(application(name, order_id=f"o-{name}"))
    confirmed = await asyncio.gather(*(applying.confirm(name, "same") for name in names))
    mismatched = [one.applied.payment.mismatched for one in confirmed]
    assert 7 == mismatched.count(MismatchReason.GATEWAY_REF_TAKEN)


async def test_payments_are_counted_where_a_shopper_chooses(applying: Applying) -> None:
    """Those of the order, whatever became of them; a price that is given asks for no count."""
    counts: list[int] = []

    def judge(order: Order | None, _known: Sequence[Applied], count: int) -> Claim:
        counts.append(count)
        return Refused(Refusal.TOO_MANY_PAYMENTS, order)

    await applying.claim(application("a1"))
    await applying.confirm("a1")
    await settle(applying.store, success("a1"))
    await applying.claim(application("b1", order_id="o2"))
    chosen = application("a2", amount=None, currency=None)
    await applying.applications.claim(chosen, later(600), judge)
    await applying.applications.claim(application("a3"), later(600), judge)
    assert [1, 0] == counts
