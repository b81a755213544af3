"""How Stripe's objects are found: by their id, else by ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode
from payonce.gateways.stripe_line import Phone
from payonce.gateways.stripe_requests import FOUND_EXPANDS, INTENT_EXPANDS, SESSION_EXPANDS
from payonce.gateways.stripe_shapes import (
    Found,
    Refund,
    dispute_pages,
    intent_pages,
    refund_pages,
)
from payonce.gateways.stripe_words import (
    intent_of,
    is_ref,
    no_word,
    read_charge,
    refund_of,
    refund_report,
    reversed_by,
)
from payonce.ports.gateway import ChargeRef

if TYPE_CHECKING:
    from stripe.params import DisputeListParams, RefundListParams

_PAGE = 50
_MOST_PAGES = 4
_FEW = 5
"""Objects that may be large: a page of them must stay within what an answer may have."""


class Files:
    """Looks things up; every method returns a value, whatever Stripe answers."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def find(self, call: str, charge: ChargeRef) -> Found | GatewayReport:
        """Return a charge's session or PaymentIntent, else why there is none."""
        ref = charge.gateway_ref
        if ref is None:
            return await self._search(call, charge.payment_id)
        if not is_ref(ref):
            return GatewayReport(Outcome.UNKNOWN, reason="gateway_ref is neither cs_... nor pi_...")
        if ref.startswith("cs_"):
            answer = await self._phone.ask(
                call,
                lambda v1: v1.checkout.sessions.retrieve_async(ref, {"expand": SESSION_EXPANDS}),
            )
        else:
            answer = await self._phone.ask(
                call, lambda v1: v1.payment_intents.retrieve_async(ref, {"expand": INTENT_EXPANDS})
            )
        return _read(answer, ref)

    async def _search(self, call: str, payment_id: str) -> Found | GatewayReport:
        """Search for a PaymentIntent that carries our id.

        An index that may lag, usually less than a minute (docs.stripe.com/search), so that nothing
        found is nothing known. A session has no PaymentIntent before its shopper pays, and one that
        we have no gateway_ref of was shown to nobody.
        """
        query = f"metadata['payment_id']:'{payment_id}'"
        answer = await self._phone.ask(
            call,
            lambda v1: v1.payment_intents.search_async(
                {"query": query, "limit": _FEW, "expand": FOUND_EXPANDS}
            ),
        )
        if isinstance(answer, NoAnswer) or answer.status != 200:
            return no_word(answer)
        page = decode(intent_pages, answer.body)
        if isinstance(page, Nonsense):
            return GatewayReport(Outcome.UNKNOWN, reason=page.problem)
        order = {"succeeded": 0, "canceled": 2}
        ranked = sorted(page.data, key=lambda one: order.get(one.status, 1))
        return ranked[0] if ranked else GatewayReport(Outcome.NOT_FOUND, reason="not-known")

    async def without_disputed(
        self, call: str, found: Found, report: GatewayReport
    ) -> GatewayReport:
        """Return the report of a paid charge without the money that disputes took."""
        intent = intent_of(found)
        params: DisputeListParams = {
            "payment_intent": intent.id if intent else "",
            "limit": _FEW,
        }
        answer = await self._phone.ask(call, lambda v1: v1.disputes.list_async(params))
        if isinstance(answer, NoAnswer) or answer.status != 200:
            return no_word(answer)
        page = decode(dispute_pages, answer.body)
        if isinstance(page, Nonsense):
            return GatewayReport(Outcome.UNKNOWN, reason=page.problem)
        if not page.data:
            return GatewayReport(Outcome.UNKNOWN, reason="nonsense: disputed without a dispute")
        return reversed_by(page.data, report)

    async def find_refund(self, call: str, refund_id: str, intent_id: str) -> RefundReport:
        """Return how the refund stands that carries our id; never raises."""
        seen: list[Refund] = []
        for _ in range(_MOST_PAGES):
            answer = await self._refunds(call, intent_id, seen)
            if isinstance(answer, NoAnswer):
                return RefundReport(RefundOutcome.UNKNOWN, answer.problem)
            if answer.status != 200:
                return RefundReport(
                    RefundOutcome.UNKNOWN, f"http-{answer.status}", answer.retry_after_s
                )
            page = decode(refund_pages, answer.body)
            if isinstance(page, Nonsense):
                return RefundReport(RefundOutcome.UNKNOWN, page.problem)
            seen += page.data
            if not page.has_more or not page.data:
                return _refund_among(seen, refund_id)
        return RefundReport(RefundOutcome.UNKNOWN, "more refunds than can be looked through")

    async def _refunds(
        self, call: str, intent_id: str, seen: Sequence[Refund]
    ) -> Answer | NoAnswer:
        """Return the page of refunds after those seen."""
        params: RefundListParams = {"payment_intent": intent_id, "limit": _PAGE}
        if seen:
            params["starting_after"] = seen[-1].id
        return await self._phone.ask(call, lambda v1: v1.refunds.list_async(params))


def _refund_among(seen: Sequence[Refund], refund_id: str) -> RefundReport:
    found = refund_of(seen, refund_id)
    return RefundReport(RefundOutcome.NOT_FOUND) if found is None else refund_report(found)


def _read(answer: Answer | NoAnswer, ref: str) -> Found | GatewayReport:
    """Return what a look-up by id brought.

    Stripe forgets no object: one that is not there under an id that we were given is another
    account's, or another mode's key is configured. That says nothing of the payment.
    """
    if isinstance(answer, Answer) and answer.status == 404:
        return GatewayReport(Outcome.UNKNOWN, reason="not there: is it another account's key?")
    if isinstance(answer, NoAnswer) or answer.status != 200:
        return no_word(answer)
    found = read_charge(answer)
    if isinstance(found, Nonsense):
        return GatewayReport(Outcome.UNKNOWN, reason=found.problem)
    if found.id != ref:
        # Its metadata need not name a payment: one that the shop made has none.
        return GatewayReport(Outcome.UNKNOWN, reason="nonsense: id is another's")
    return found
