"""Somebody wants to pay an order: claim its payment, close earlier ones, create it, confirm it.

The claim is a row of its own before the gateway is asked, so that a death anywhere leaves a payment
that is watched. The order lock only keeps applications apart; the rows decide.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

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
    is_beyond_choice,
    never_created,
    refused,
)
from payonce.domain.effects import Occasion
from payonce.domain.errors import Unavailable
from payonce.domain.judge import Hearing
from payonce.domain.messages import CloseDue, close_of
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.watch import revive_after_registration
from payonce.handlers.announce import Announcer
from payonce.handlers.bursts import Burst, Bursts
from payonce.handlers.charging import Charging, Created, CreateUnknown, NotCreated, create_charge
from payonce.handlers.settle import Settler
from payonce.ports.applications import Applications, ClaimJudge
from payonce.ports.cache import Cache
from payonce.ports.clock import Clock
from payonce.ports.gateway import Gateways, NewCharge
from payonce.ports.lock import LockOutcome, OrderLock, OrderLocks
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.05
APPLIED = "applied"
"""What becomes of a registration that an application made."""

NEVER_SENT = "the order took no more payments before this one was sent"
ENDS = frozenset({Outcome.FAILED, Outcome.CLOSED})
LOCK_BUDGETS = 3
"""The lock lasts for closing, creating and what is beside them; a budget is one gateway's."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A payment that the shopper can be shown, or has paid already."""

    applied: Applied


@dataclass(frozen=True, slots=True)
class Unsure:
    """A payment of which nobody knows whether the gateway has it; it is watched."""

    applied: Applied


@dataclass(frozen=True, slots=True)
class Denied:
    """There is no payment to show; `words` are the gateway's own, where it had any."""

    refusal: Refusal
    order: Order | None = None
    words: str = ""
    settled_by: str | None = None


Result = Shown | Unsure | Denied


@dataclass(frozen=True, slots=True)
class ApplyRules:
    """What the configuration says; `budgets_s`: for asking each gateway, about two time-outs.

    `checkout_url`: returns the address of a payment's page, by payment and order.
    """

    policy: Policy
    public_url: str
    checkout_url: Callable[[str, str], Awaitable[str]]
    budgets_s: Mapping[str, float]


class Apply:
    """Takes applications. `paused`: returns the gateways that a person has paused."""

    def __init__(  # noqa: PLR0913 - applying is where shop, gateway, lock and truth meet
        self,
        applications: Applications,
        settler: Settler,
        close: Callable[[CloseDue], Awaitable[object]],
        announcer: Announcer,
        locks: OrderLocks,
        cache: Cache,
        gateways: Gateways,
        rules: ApplyRules,
        clock: Clock,
        meter: Meter,
        paused: Callable[[], frozenset[str]],
    ) -> None:
        self._applications = applications
        self._settler = settler
        self._close = close
        self._announcer = announcer
        self._locks = locks
        self._cache = cache
        self._gateways = gateways
        self._rules = rules
        self._clock = clock
        self._meter = meter
        self._paused = paused
        self._bursts: Bursts[object, Result] = Bursts()
        self._tasks: set[asyncio.Task[object]] = set()

    async def apply(self, application: Application) -> Result:
        """Return what comes of an application. Raises Unavailable: nothing is lost, ask again."""
        paid_by = await self._cache.paid_by(application.order_id)
        if paid_by:
            result: Result = Denied(Refusal.ORDER_PAID, settled_by=paid_by)
        else:
            price = (application.amount, application.currency)
            key = (application.order_id, application.gateway, price)
            result = await self._bursts.join(key, partial(self._run, application))
        self._meter.application_answered(application.gateway, _outcome(result, application))
        return result

    async def _run(self, application: Application, burst: Burst) -> Result:
        started, budget_s = self._clock.now(), self._budget_s(application.gateway)
        hold_s = LOCK_BUDGETS * budget_s
        lock = await self._locks.take(application.order_id, hold_s, wait_s=budget_s)
        waited = self._clock.now() - started
        self._meter.order_lock_waited(lock.outcome, waited.total_seconds())
        try:
            return await self._claim(application, lock, burst)
        finally:
            if not await lock.release():
                self._meter.order_lock_lost()
                log.warning("order_lock.lost", order_id=application.order_id)

    async def _claim(self, application: Application, lock: OrderLock, burst: Burst) -> Result:
        now = self._clock.now()
        terms = self._gateways[application.gateway].terms
        claimed = await self._applications.claim(
            application, revive_after_registration(now, terms), self._judge(application, now)
        )
        match claimed:
            case Refused():
                return Denied(claimed.refusal, claimed.order)
            case Shared():
                return await self._share(claimed.applied, lock, burst)
            case Resumed():
                return await self._charge(claimed.applied.payment, lock, burst, is_first=False)
            case Fresh():
                # The message of it is registered later, as one that is known already.
                self._meter.payment_registered(application.gateway, APPLIED)
                return await self._start(claimed, lock, burst)

    def _judge(self, application: Application, now: datetime) -> ClaimJudge:
        """Return what judges. Where nothing new is to be had, no earlier payment ends."""

        def judge(order: Order | None, known: Sequence[Applied], count: int) -> Claim:
            claimed = claim(application, order, known, self._rules.policy, now)
            if isinstance(claimed, Fresh) and application.gateway in self._paused():
                return Refused(Refusal.GATEWAY_PAUSED, order)
            if isinstance(claimed, Fresh) and is_beyond_choice(application, count):
                return Refused(Refusal.TOO_MANY_PAYMENTS, order)
            return claimed

        return judge

    async def _start(self, fresh: Fresh, lock: OrderLock, burst: Burst) -> Result:
        """Create, then have the watch started: by now its first poll knows the gateway's id.

        A create that takes long, or a death, leaves this to the relay.
        """
        try:
            return await self._close_then_create(fresh, lock, burst)
        finally:
            self._spawn(self._announcer.announce([fresh.event]))

    async def _close_then_create(self, fresh: Fresh, lock: OrderLock, burst: Burst) -> Result:
        """Close the earlier payments, then create; whatever is found out meanwhile counts."""
        payment = fresh.applied.payment
        if fresh.superseded:
            await self._close_all(fresh.superseded, self._budget_s(payment.gateway))
            order, applied = await self._look(payment)
            if order.status is not OrderStatus.OPEN or applied.payment.closing:
                await self._confirm(payment, NotCreated(NEVER_SENT), lock, burst)
                return answer_of(order, applied)
        return await self._charge(payment, lock, burst, is_first=True)

    async def _charge(
        self, payment: Payment, lock: OrderLock, burst: Burst, *, is_first: bool
    ) -> Result:
        gateway = self._gateways[payment.gateway]
        charging = await create_charge(
            gateway,
            await self._new_charge(payment),
            self._budget_s(payment.gateway),
            self._clock,
            is_first=is_first,
        )
        if isinstance(charging, Created) and charging.report.outcome in ENDS:
            await self._settle(payment, charging.report)
            words = charging.report.reason or charging.report.outcome
            return Denied(Refusal.GATEWAY_REFUSED, words=words)
        result = await self._confirm(payment, charging, lock, burst)
        if isinstance(charging, NotCreated) and isinstance(result, Denied):
            refusal = Refusal.GATEWAY_PAUSED if charging.is_paused else result.refusal
            return replace(result, refusal=refusal, words=charging.problem)
        return result

    async def _confirm(
        self, payment: Payment, charging: Charging, lock: OrderLock, burst: Burst
    ) -> Result:
        """Store what was created before anybody is shown it; have it closed where nobody may be."""
        creation = _creation(charging, lock, burst, self._clock)
        ref = creation.report.gateway_ref if creation.report else None
        judge = partial(confirm, creation=creation)
        confirmed = await self._applications.confirm(payment.payment_id, ref, judge)
        self._tell(confirmed)
        order, applied = confirmed.order, confirmed.applied
        if applied.payment.closing:
            await self._close_all([applied.payment], self._budget_s(payment.gateway))
        elif creation.report is not None and creation.report.outcome is Outcome.SUCCEEDED:
            await self._settle(payment, creation.report)
            order, applied = await self._look(payment)
        return answer_of(order, applied)

    async def _share(self, applied: Applied, lock: OrderLock, burst: Burst) -> Result:
        """Wait for somebody else's application; where he seems to have died, go on in his place.

        Creating is idempotent by the payment's id, so nothing is lost where he only was slow.
        """
        budget_s = self._budget_s(applied.payment.gateway)
        until = self._clock.now() + timedelta(seconds=budget_s / 2)
        order, applied = await self._look(applied.payment)
        while not applied.is_answered:
            if self._clock.now() >= until:
                return await self._charge(applied.payment, lock, burst, is_first=False)
            await self._clock.sleep(LOOK_EVERY_S)
            order, applied = await self._look(applied.payment)
        return answer_of(order, applied)

    async def _close_all(self, payments: Sequence[Payment], budget_s: float) -> None:
        """Close and query each; what takes longer goes on by itself, as the rows say it shall."""
        tasks = [self._spawn(self._close_one(payment)) for payment in payments]
        await asyncio.wait(tasks, timeout=budget_s)

    async def _close_one(self, payment: Payment) -> None:
        try:
            await self._close(close_of(payment, payment.closing or "superseded"))
        except Unavailable as error:
            log.warning("close.postponed", payment_id=payment.payment_id, reason=str(error))

    def _tell(self, confirmed: Confirmation) -> None:
        if confirmed.events:
            payment = confirmed.applied.payment
            verdict = "mismatched" if payment.mismatched else payment.status.lower()
            self._meter.payment_decided(payment.gateway, verdict, Source.APPLY)
            self._spawn(self._announcer.announce(confirmed.events))

    async def _settle(self, payment: Payment, report: GatewayReport) -> None:
        """Settle a word about a payment; where that fails, its watch finds the same."""
        source = Source.POLL if report.outcome is Outcome.SUCCEEDED else Source.APPLY
        hearing = Hearing(payment.payment_id, report, Occasion(self._clock.now(), source))
        try:
            await self._settler.settle(hearing)
        except Unavailable as error:
            log.warning("settle.postponed", payment_id=payment.payment_id, reason=str(error))

    async def _look(self, payment: Payment) -> tuple[Order, Applied]:
        found = await self._applications.applied(payment.payment_id)
        if found is None:
            raise LookupError(f"payment {payment.payment_id} was claimed and is gone")
        return found

    async def _new_charge(self, payment: Payment) -> NewCharge:
        return NewCharge(
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount=payment.amount,
            currency=payment.currency,
            expires_at=payment.expires_at,
            notify_url=f"{self._rules.public_url}/v1/webhooks/{payment.gateway}",
            return_url=await self._rules.checkout_url(payment.payment_id, payment.order_id),
        )

    def _budget_s(self, gateway: str) -> float:
        return self._rules.budgets_s[gateway]

    def _spawn(self, work: Coroutine[Any, Any, object]) -> "asyncio.Task[object]":
        """Start what the answer need not wait for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _creation(charging: Charging, lock: OrderLock, burst: Burst, clock: Clock) -> Creation:
    creation = Creation(
        now=clock.now(),
        attempts=charging.attempts,
        applicants=burst.size,
        lock="" if lock.outcome is LockOutcome.TAKEN else lock.outcome,
    )
    match charging:
        case Created():
            qr, pay_url = charging.qr, charging.pay_url
            return replace(creation, report=charging.report, qr=qr, pay_url=pay_url)
        case CreateUnknown():
            return replace(creation, problem=charging.problem)
        case NotCreated():
            ended = refused(charging.problem) if charging.attempts else never_created()
            return replace(creation, problem=charging.problem, ended=ended)


def answer_of(order: Order, applied: Applied) -> Result:
    """Return what those are told who apply and come to this payment, as the rows stand."""
    payment = applied.payment
    if order.status is OrderStatus.PAID and order.settled_by != payment.payment_id:
        return Denied(Refusal.ORDER_PAID, order)
    if order.status is OrderStatus.CANCELLED:
        return Denied(Refusal.ORDER_CANCELLED, order)
    refusal = _refusal_of(payment)
    if refusal is not None:
        return Denied(refusal, order)
    return Unsure(applied) if payment.status is PaymentStatus.CREATED else Shown(applied)


def _refusal_of(payment: Payment) -> Refusal | None:
    if payment.mismatched is MismatchReason.GATEWAY_REF_TAKEN:
        return Refusal.GATEWAY_REF_TAKEN
    if payment.status is PaymentStatus.FAILED:
        return Refusal.GATEWAY_REFUSED
    is_over = payment.closing or payment.status is PaymentStatus.CLOSED
    return Refusal.SUPERSEDED if is_over else None


def _outcome(result: Result, application: Application) -> str:
    match result:
        case Denied():
            return result.refusal
        case Unsure():
            return "unknown"
        case Shown():
            own = result.applied.payment.payment_id == application.payment_id
            return "created" if own else "shared"
