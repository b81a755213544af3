"""A gateway called back: believe what it may tell, ask it about the rest."""

from datetime import timedelta
from typing import assert_never

from payonce.domain.effects import Occasion
from payonce.domain.errors import InvalidField
from payonce.domain.judge import Hearing
from payonce.domain.messages import poll_of
from payonce.domain.payment import Payment
from payonce.domain.report import GatewayReport, Source
from payonce.domain.report import Outcome as Said
from payonce.domain.times import to_ms
from payonce.domain.watch import revive_after_registration
from payonce.handlers.settle import Settler
from payonce.ports.bus import Timer
from payonce.ports.cache import Cache
from payonce.ports.clock import Clock
from payonce.ports.gateway import (
    CallbackWord,
    ChargeRef,
    ChargeWord,
    Gateway,
    Gateways,
    RefundOutcome,
    RefundReport,
    RefundWord,
)
from payonce.ports.inbox import Inbox, KeptCallback, Outcome, Processed, Waits
from payonce.ports.refunds import RefundWords
from payonce.ports.store import Watches

FRESH = timedelta(minutes=5)
"""How long an authoritative word is believed after it came; later the gateway is asked."""
STRANGER_AFTER = timedelta(days=1)
STRANGER_AGAIN_S = 6 * 3_600.0


class Callback:
    """Applies a callback of the inbox. Doing it twice changes nothing more."""

    def __init__(  # noqa: PLR0913 - a callback may concern all that a payment has
        self,
        inbox: Inbox,
        watches: Watches,
        settler: Settler,
        timer: Timer,
        cache: Cache,
        gateways: Gateways,
        refunds: RefundWords,
        clock: Clock,
    ) -> None:
        self._inbox = inbox
        self._watches = watches
        self._settler = settler
        self._timer = timer
        self._cache = cache
        self._gateways = gateways
        self._refunds = refunds
        self._clock = clock

    async def handle(self, kept: KeptCallback) -> Outcome:
        """Return what became of the callback. Raises Unavailable: it is to be tried again."""
        gateway = self._gateways.get(kept.gateway)
        if gateway is None:
            return Waits("unknown-gateway")
        try:
            word = gateway.read_callback(kept.headers, kept.body)
        except InvalidField as error:
            return Processed("nonsense", problem=str(error))
        if _is_plain_success(word) and await self._is_known(word.payment_id):
            return Processed("known", word.payment_id)
        payment = await self._inbox.find_payment(word.payment_id)
        if payment is None:
            return Waits("not-registered", self._stranger_waits_s(kept))
        if payment.gateway != kept.gateway:
            problem = f"the payment is one of gateway {payment.gateway}"
            return Processed("foreign", word.payment_id, problem)
        return await self._apply(word, payment, gateway, kept)

    async def _apply(
        self, word: CallbackWord, payment: Payment, gateway: Gateway, kept: KeptCallback
    ) -> Outcome:
        believed = word.authoritative and self._clock.now() - kept.received_at <= FRESH
        match word:
            case ChargeWord():
                if believed:
                    return await self._settle(payment, word.report)
                return await self._ask(payment, gateway, word.report.gateway_ref)
            case RefundWord():
                report = word.report if believed else RefundReport(RefundOutcome.UNKNOWN, "a hint")
                if await self._refunds.heard(word.refund_id, word.payment_id, report):
                    return Processed("refund", word.payment_id)
                # Somebody sent money back past us: how much is left, the charge itself tells.
                return await self._ask(payment, gateway)
            case _:
                assert_never(word)

    async def _ask(self, payment: Payment, gateway: Gateway, ref: str | None = None) -> Outcome:
        charge = ChargeRef(payment.payment_id, payment.gateway_ref or ref)
        report = await gateway.query(charge)
        if report.is_definite:
            return await self._settle(payment, report)
        if report.outcome is Said.PENDING:
            return await self._watch_anew(payment, gateway)
        return Waits(f"no-word: {report.reason or report.outcome}", report.retry_after_s or 0.0)

    async def _settle(self, payment: Payment, report: GatewayReport) -> Outcome:
        occasion = Occasion(self._clock.now(), Source.WEBHOOK)
        effects = await self._settler.settle(Hearing(payment.payment_id, report, occasion))
        if effects is None:
            return Waits("not-registered")
        return Processed(effects.decision.verdict.value, payment.payment_id)

    async def _watch_anew(self, payment: Payment, gateway: Gateway) -> Outcome:
        """Something happens there: look closely again, whatever was thought of the payment."""
        now, terms = self._clock.now(), gateway.terms
        revive_at = revive_after_registration(now, terms)
        watched = await self._watches.restart(payment.payment_id, now, revive_at)
        if watched is not None:
            wait_ms = terms.ladder.wait_ms(0)
            await self._timer.poll_after(wait_ms, poll_of(watched, 0, to_ms(now) + wait_ms))
        return Processed("watched", payment.payment_id)

    def _stranger_waits_s(self, kept: KeptCallback) -> float:
        """Return how long a callback waits at least whose payment nobody told us of.

        Its registration would apply it at once. Where other programs use the same account of the
        gateway there are many that never will be.
        """
        is_old = self._clock.now() - kept.received_at > STRANGER_AFTER
        return STRANGER_AGAIN_S if is_old else 0.0

    async def _is_known(self, payment_id: str) -> bool:
        """Say whether this very payment is remembered as SUCCEEDED; its steps do not matter."""
        return (await self._cache.seen(payment_id, 0, 0)).succeeded


def _is_plain_success(word: CallbackWord) -> bool:
    """Say whether a word tells of a success and nothing else, such as money sent back."""
    match word:
        case ChargeWord(report=report):
            return report.outcome is Said.SUCCEEDED and not report.refunded
        case RefundWord():
            return False
        case _:
            assert_never(word)
