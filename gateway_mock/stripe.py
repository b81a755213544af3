"""A strict Stripe: forms, idempotency keys, Checkout Sessions, PaymentIntents, refunds, events."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway_mock.books import Charge, Refund
from gateway_mock.callbacks import Letter
from gateway_mock.server import Mock
from gateway_mock.shopper import Profile
from gateway_mock.stripe_door import DEFAULT_KEY, Door, stripe_letter, stumble
from gateway_mock.stripe_forms import (
    Form,
    StripeError,
    expands,
    integer,
    metadata,
    need,
    refuse_unknown,
)
from gateway_mock.stripe_objects import (
    BOLETO,
    Paper,
    charge_json,
    event,
    from_stripe,
    intent_json,
    page,
    refund_json,
    session_json,
    stripe_id,
)
from gateway_mock.stripe_orders import Ordered, read_intent, read_session

DEFAULT_WEBHOOK_SECRET = "whsec_payonce_mock_public_secret"  # noqa: S105 - a mock's, public
MOST_LISTED = 100

_QUERY = re.compile(r"metadata\['([^']{1,40})'\]:'([^']{1,500})'")
_REFUND = frozenset({"payment_intent", "amount", "metadata", "reason", "expand"})
_LIST = frozenset({"payment_intent", "limit", "starting_after", "expand"})


class StripeMock(Mock):
    """One Stripe account. `webhook_url`: the endpoint that it posts events to.

    `mode`: what charges are that the control API opens, as a shop does that asks Stripe itself.
    """

    def __init__(  # noqa: PLR0913 - what an account is made of
        self,
        secret: str = DEFAULT_WEBHOOK_SECRET,
        clock: Callable[[], float] = time.time,
        make_profile: Callable[[], Profile] = Profile,
        public_url: str = "",
        *,
        secret_key: str = DEFAULT_KEY,
        webhook_url: str | None = None,
        mode: str = "checkout",
    ) -> None:
        super().__init__(secret, clock, make_profile, public_url)
        self.webhook_url = webhook_url
        self.mode = mode
        self.papers: dict[str, Paper] = {}
        self.door = Door(secret_key, clock)
        self._notes: dict[str, dict[str, str]] = {}

    async def reset(self) -> None:
        """Forget all, keys too."""
        await super().reset()
        self.papers.clear()
        self.door.keys.clear()
        self._notes.clear()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of Stripe's API, as far as payonce asks it."""
        sessions, intents = "/v1/checkout/sessions", "/v1/payment_intents"
        return [
            web.post(sessions, self.door.serve(self._create_session)),
            web.get(sessions + "/{id}", self.door.serve(self._get_session)),
            web.post(sessions + "/{id}/expire", self.door.serve(self._expire)),
            web.post(intents, self.door.serve(self._create_intent)),
            web.get(intents + "/search", self.door.serve(self._search)),
            web.get(intents + "/{id}", self.door.serve(self._get_intent)),
            web.post(intents + "/{id}/cancel", self.door.serve(self._cancel)),
            web.post("/v1/refunds", self.door.serve(self._make_refund)),
            web.get("/v1/refunds", self.door.serve(self._list_refunds)),
            web.get("/v1/disputes", self.door.serve(self._list_disputes)),
        ]

    def open_charge(self, data: dict[str, Any]) -> tuple[Charge, bool]:
        """Open a charge as the shop's own code would, with our id in its metadata."""
        charge, is_new = super().open_charge({"notify_url": self.webhook_url, **data})
        if is_new:
            notes = {"payment_id": charge.payment_id, "order_id": charge.order_id}
            ordered = Ordered(notes, notes, charge.amount, charge.currency.lower(), ["card"])
            self._file(charge, ordered, is_session=self.mode == "checkout", host="mock.invalid")
        return charge, is_new

    def dispute(
        self, payment_id: str, status: str = "needs_response", **changed: str | int
    ) -> None:
        """Let the shopper's bank take all the money back, but for what is `changed`."""
        paper = self._paper_of(payment_id)
        told = charge_json(paper, self.clock())
        paper.disputes.append(
            {
                "id": f"dp_{paper.number}",
                "object": "dispute",
                "amount": told["amount"],
                "charge": paper.charge_id,
                "currency": told["currency"],
                "metadata": {},
                "payment_intent": paper.intent_id,
                "reason": "fraudulent",
                "status": status,
            }
            | changed
        )

    def charge_letter(self, charge: Charge, now: float) -> Letter | None:
        """Return the event about a charge that was paid or has failed."""
        paper = self._paper_of(charge.payment_id)
        paid, slow = charge.status(now) == "succeeded", paper.methods == [BOLETO]
        if paper.is_session and (paid or slow):
            kind = "async_payment_succeeded" if paid else "async_payment_failed"
            kind = f"checkout.session.{kind if slow else 'completed'}"
            return self._letter(kind, session_json(paper, now, expanded=False))
        kind = f"payment_intent.{'succeeded' if paid else 'payment_failed'}"
        return self._letter(kind, intent_json(paper, now, expanded=False))

    def refund_letter(self, charge: Charge, refund: Refund) -> Letter | None:
        """Return the event about a refund; of one made past us, that of its charge."""
        paper = self._paper_of(charge.payment_id)
        if refund.refund_id not in self._notes:
            return self._letter("charge.refunded", charge_json(paper, self.clock()))
        kind = "refund.failed" if refund.status == "failed" else "refund.updated"
        return self._letter(kind, refund_json(paper, refund, self._notes[refund.refund_id]))

    def _letter(self, kind: str, told: dict[str, Any]) -> Letter:
        return stripe_letter(self.secret, event(token_hex(12), kind, told, self.clock()))

    # Charges

    async def _create_session(self, request: web.Request, form: Form) -> dict[str, Any]:
        paper = await self._order(request, read_session(form), is_session=True)
        return session_json(paper, self.clock(), expanded="expand" in form)

    async def _create_intent(self, request: web.Request, form: Form) -> dict[str, Any]:
        paper = await self._order(request, read_intent(form), is_session=False)
        return intent_json(paper, self.clock(), expanded="expand" in form)

    async def _order(self, request: web.Request, ordered: Ordered, *, is_session: bool) -> Paper:
        """Open a charge, or stumble as the script says; another key is another charge."""
        payment_id = ordered.metadata.get("payment_id") or f"stripe-{token_hex(4)}"
        data: dict[str, Any] = {
            "payment_id": payment_id,
            "order_id": ordered.metadata.get("order_id") or payment_id,
            "amount": from_stripe(ordered.amount, ordered.currency),
            "currency": ordered.currency.upper(),
            "notify_url": self.webhook_url,
        }
        fault = self._next_create_fault(data)
        latency_ms = self._script_of(data).create_latency_ms
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        if fault == "refused":
            raise StripeError(400, "This account takes no such charge.")
        await stumble(fault)
        if payment_id in self.books.charges:
            again = sum(one.partition("#")[0] == payment_id for one in self.books.charges)
            data["payment_id"] = f"{payment_id}#{again + 1}"
        charge, _ = super().open_charge(data)
        host = self._public_url or str(request.url.origin())
        paper = self._file(charge, ordered, is_session=is_session, host=host)
        await stumble(fault.removesuffix("-after"), kept=True)
        return paper

    def _file(self, charge: Charge, ordered: Ordered, *, is_session: bool, host: str) -> Paper:
        number = charge.gateway_ref.removeprefix("ch_").replace("_", "x")
        paper = Paper(
            charge=charge,
            number=number,
            is_session=is_session,
            methods=ordered.methods,
            metadata=ordered.metadata,
            intent_metadata=ordered.intent_metadata,
            link=f"{host}/pay/{quote(charge.payment_id)}",
            return_url=ordered.return_url,
            days=ordered.days,
        )
        charge.gateway_ref = paper.ref
        self.papers[paper.intent_id] = paper
        if is_session:
            self.papers[paper.session_id] = paper
        return paper

    async def _get_session(self, request: web.Request, form: Form) -> dict[str, Any]:
        expands(form, "payment_intent", "payment_intent.latest_charge")
        paper = await self._asked_about(request)
        return session_json(paper, self.clock(), expanded="expand" in form)

    async def _get_intent(self, request: web.Request, form: Form) -> dict[str, Any]:
        expands(form, "latest_charge")
        paper = await self._asked_about(request)
        return intent_json(paper, self.clock(), expanded="expand" in form)

    async def _search(self, _request: web.Request, form: Form) -> dict[str, Any]:
        """Search as the index stands, which knows nothing of what is `missing_until_s`."""
        refuse_unknown(form, frozenset({"query", "limit", "expand"}))
        match = _QUERY.fullmatch(need(form, "query"))
        if match is None:
            raise StripeError(400, "We were unable to parse your search query.")
        integer(form.get("limit", "10"), "limit", 1, MOST_LISTED)
        expands(form, "data.latest_charge")
        name, value = match.groups()
        now, found = self.clock(), []
        for paper in _unique(self.papers):
            if paper.intent_metadata.get(name) == value and paper.charge.is_known(now):
                await self._note_query(paper.charge)
                if paper.has_intent(now):
                    found.append(intent_json(paper, now, expanded="expand" in form))
        return {**page("/v1/payment_intents/search", found), "object": "search_result"}

    async def _asked_about(self, request: web.Request) -> Paper:
        paper = self._paper(request)
        await self._note_query(paper.charge)
        return paper

    async def _note_query(self, charge: Charge) -> None:
        charge.queried_at.append(self.clock())
        script, turn = charge.script, len(charge.queried_at) - 1
        latency_ms = script.latency_ms or self.profile.latency_ms
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        planned = script.faults[turn] if turn < len(script.faults) else None
        await stumble(planned or self.profile.draw_fault())

    def _paper(self, request: web.Request) -> Paper:
        ref = request.match_info["id"]
        paper = self.papers.get(ref)
        wanted = "cs_" if "/checkout/" in request.path else "pi_"
        now = self.clock()
        there = paper is not None and ref.startswith(wanted) and paper.charge.is_known(now)
        if paper is None or not there or (wanted == "pi_" and not paper.has_intent(now)):
            kind = "checkout.session" if wanted == "cs_" else "payment_intent"
            raise StripeError(404, f"No such {kind}: '{ref}'", code="resource_missing", param="id")
        return paper

    def _paper_of(self, payment_id: str) -> Paper:
        charge = self.books.charges[payment_id]
        return next(one for one in self.papers.values() if one.charge is charge)

    # Closes

    async def _expire(self, request: web.Request, form: Form) -> dict[str, Any]:
        expands(form, "payment_intent", "payment_intent.latest_charge")
        paper = self._paper(request)
        now = self._let_pay(paper)
        status = session_json(paper, now, expanded=False)["status"]
        if status != "open":
            message = (
                'Only Checkout Sessions with a status in ["open"] can be expired. '
                f"This Session has a status of {status}."
            )
            raise StripeError(400, message)
        told = self._close_paper(paper, now)
        closed = session_json(paper, now, expanded="expand" in form)
        return {**closed, "status": "expired"} if told else closed

    async def _cancel(self, request: web.Request, form: Form) -> dict[str, Any]:
        refuse_unknown(form, frozenset({"expand", "cancellation_reason"}))
        expands(form, "latest_charge")
        paper = self._paper(request)
        now = self._let_pay(paper)
        if paper.is_session:
            raise StripeError(400, "You cannot cancel this PaymentIntent: expire its Session.")
        before = intent_json(paper, now, expanded=False)
        if before["status"] in {"succeeded", "canceled", "processing"}:
            raise StripeError(
                400,
                "You cannot cancel this PaymentIntent because it has a status of "
                f"{before['status']}.",
                code="payment_intent_unexpected_state",
                more={"payment_intent": before},
            )
        told = self._close_paper(paper, now)
        closed = intent_json(paper, now, expanded="expand" in form)
        return {**closed, "status": "canceled"} if told else closed

    def _let_pay(self, paper: Paper) -> float:
        """Let the shopper who is about to pay do so before a close takes effect."""
        now, charge = self.clock(), paper.charge
        if charge.script.pays_on_close and charge.status(now) == "pending":
            charge.script = replace(charge.script, pays_after_s=now - charge.created_at)
            self.plan_callback(charge, 0.0)
        return now

    def _close_paper(self, paper: Paper, now: float) -> bool:
        """Close in the books; True: that was a lie."""
        charge = paper.charge
        # A card that was declined may be tried again, until the page is closed.
        charge.failed = False
        if charge.script.closes == "lies":
            return True
        charge.script = replace(charge.script, declines_after_s=None)
        charge.closed_at = now
        return False

    # Refunds

    async def _make_refund(self, request: web.Request, form: Form) -> dict[str, Any]:
        refuse_unknown(form, _REFUND)
        paper = self._refundable(need(form, "payment_intent"))
        charge, told = paper.charge, metadata(form.get("metadata", {}))
        faults, turn = charge.script.refund_faults, charge.refund_calls
        charge.refund_calls += 1
        fault = faults[turn] if turn < len(faults) else "ok"
        if fault == "refused":
            raise StripeError(400, "Refunds of this charge are refused.")
        if fault in {"unheard", "429", "503"}:
            await stumble({"unheard": "500"}.get(fault, fault))
        refund = self._book_refund(paper, form, told)
        if fault == "cut" and request.transport is not None:
            request.transport.abort()
        if fault in {"500", "timeout"}:
            await stumble(fault, kept=True)
        return refund_json(paper, refund, told)

    def _book_refund(self, paper: Paper, form: Form, told: dict[str, str]) -> Refund:
        charge, now = paper.charge, self.clock()
        amount = from_stripe(integer(form.get("amount", "0"), "amount", 1), charge.currency.lower())
        rest = charge.captured - charge.refunded
        if rest == 0:
            message = f"Charge {paper.charge_id} has already been refunded."
            raise StripeError(400, message, code="charge_already_refunded")
        if amount > rest:
            raise StripeError(400, "Refund amount is greater than unrefunded amount on charge")
        refund_id = told.get("refund_id") or f"outside-{token_hex(4)}"
        while refund_id in self.books.refunds:
            refund_id += "#"
        refund, _ = self.books.refund(
            refund_id, charge.payment_id, amount, told.get("reason", ""), now
        )
        if "refund_id" in told:
            self._notes[refund_id] = told
        self.plan_refund_callback(charge, refund)
        return refund

    def _refundable(self, ref: str) -> Paper:
        paper = self.papers.get(ref)
        now = self.clock()
        if paper is None or not paper.has_intent(now):
            raise StripeError(404, f"No such payment_intent: '{ref}'", code="resource_missing")
        if paper.charge.status(now) != "succeeded":
            raise StripeError(400, "This PaymentIntent has no successful charge to refund.")
        if paper.methods == [BOLETO]:
            raise StripeError(400, "This payment method type does not support refunds.")
        if paper.disputes:
            message = f"Charge {paper.charge_id} has been charged back; cannot issue a refund."
            raise StripeError(400, message, code="charge_disputed")
        return paper

    async def _list_refunds(self, _request: web.Request, form: Form) -> dict[str, Any]:
        refuse_unknown(form, _LIST)
        limit = integer(form.get("limit", "10"), "limit", 1, MOST_LISTED)
        paper = self.papers.get(need(form, "payment_intent"))
        if paper is None:
            raise StripeError(404, "No such payment_intent", code="resource_missing")
        listed = list(reversed(paper.charge.refunds))
        after = form.get("starting_after")
        if after is not None:
            ids = [stripe_id(one.refund_id) for one in listed]
            if after not in ids:
                raise StripeError(400, f"No such refund: '{after}'", code="resource_missing")
            listed = listed[ids.index(after) + 1 :]
        for one in listed:
            one.settle(self.clock())
        data = [refund_json(paper, one, self._notes.get(one.refund_id, {})) for one in listed]
        return page("/v1/refunds", data[:limit], more=len(data) > limit)

    async def _list_disputes(self, _request: web.Request, form: Form) -> dict[str, Any]:
        refuse_unknown(form, _LIST)
        paper = self.papers.get(need(form, "payment_intent"))
        return page("/v1/disputes", paper.disputes if paper else [])


def _unique(papers: dict[str, Paper]) -> list[Paper]:
    """Return each paper once, though it is filed under two ids."""
    return [paper for ref, paper in papers.items() if ref == paper.intent_id]
