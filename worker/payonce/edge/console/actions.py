"""What operators do by forms: the same desks as the routes below /v1/ops, with words for people."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import structlog
from aiohttp import web

from payonce.domain.errors import Conflict, InvalidField, UnknownGateway, UnknownId
from payonce.domain.ids import check_id
from payonce.domain.money import EXPONENTS, check_amount
from payonce.edge import refunds
from payonce.edge.console.door import Action, Door, Form
from payonce.edge.console.ports import Notify, Sources
from payonce.edge.console.sessions import PATH, Session
from payonce.edge.console.shelf import Shelf
from payonce.edge.console.words import money
from payonce.edge.problems import Refused
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

_AMOUNT = re.compile(r"[0-9]{1,16}(\.[0-9]{1,3})?", re.ASCII)
"""No comma: in one country it begins the cents, in another it ends the thousands."""

SURE = InvalidField("sure", "is not ticked", "tick the box to say that you mean it")


class Actions:
    """Handlers of the forms. Each notes who asks for what before it is done."""

    def __init__(  # noqa: PLR0913 - every desk there is
        self,
        door: Door,
        sources: Sources,
        desk: refunds.Desk,
        shelf: Shelf,
        clock: Clock,
        notify: Notify,
    ) -> None:
        self._door = door
        self._sources = sources
        self._desk = desk
        self._shelf = shelf
        self._clock = clock
        self._notify = notify

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the routes of the forms."""
        yield self._route("/refunds/{id}/approve", self._approve, "/refunds")
        yield self._route("/refunds/{id}/reject", self._reject, "/refunds")
        yield self._route("/refunds", self._request, "/refunds")
        yield self._route("/resolve/{id}", self._resolve, "")
        yield self._route("/parked/replay", self._replay_parked, "/parked")
        yield self._route("/webhooks/{inbox_id}/replay", self._replay_callback, "/webhooks")
        yield self._route("/gateways/{name}/pause", self._pause, "/gateways")
        yield self._route("/gateways/{name}/resume", self._resume, "/gateways")
        yield self._route("/unacknowledged/{id}/notify", self._tell, "/unacknowledged")

    def _route(self, path: str, action: Action, back: str) -> web.RouteDef:
        async def work(request: web.Request, session: Session, form: Form) -> str:
            try:
                return await action(request, session, form)
            except (UnknownId, UnknownGateway) as error:
                raise Refused(404, "not-found", str(error)) from None
            except Conflict as error:
                raise Refused(409, error.rule, error.problem) from None
            finally:
                self._shelf.clear()

        return web.post(f"{PATH}{path}", self._door.action(work, f"{PATH}{back}"))

    async def _note(
        self, session: Session, action: str, subject: str, why: str | None = None
    ) -> None:
        """Note that an operator asks for something."""
        log.info("operator.asked", by=session.operator, action=action, subject=subject)
        await self._sources.journal.note(self._clock.now(), session.operator, action, subject, why)

    async def _approve(self, request: web.Request, session: Session, form: Form) -> str:
        refund_id = _id(request)
        if form.get("sure") != "yes":
            raise SURE
        await self._note(session, "approve", refund_id)
        await self._desk.approve(refund_id, session.operator)
        refund = await self._sources.stories.refund(refund_id)
        if refund is not None and refund["rule"] == "second-approval":
            return f"Approved once. Refund {refund_id} waits for a second person now."
        return f"Approved. Refund {refund_id} goes through the other rules once more, then leaves."

    async def _reject(self, request: web.Request, session: Session, form: Form) -> str:
        refund_id, why = _id(request), _why(form)
        await self._note(session, "reject", refund_id, why)
        await self._desk.reject(refund_id, session.operator, why)
        return f"Rejected. The money of refund {refund_id} is kept."

    async def _request(self, _request: web.Request, session: Session, form: Form) -> str:
        payment_id, why = check_id(form.get("payment_id"), "payment_id"), _why(form)
        payment = await self._sources.stories.payment(payment_id)
        if payment is None:
            raise UnknownId("payment", payment_id)
        currency = payment["captured_currency"] or payment["currency"]
        amount = amount_of(form.get("amount", ""), currency)
        told = "all" if amount is None else money(amount, currency)
        await self._note(session, "request refund", payment_id, f"{told}: {why}")
        refund_id = await self._desk.request(payment_id, amount, session.operator, why)
        return f"Refund {refund_id} is asked for. Another operator has to approve it."

    async def _resolve(self, request: web.Request, session: Session, form: Form) -> str:
        id_, why, wanted = _id(request), _why(form), form.get("as", "")
        await self._note(session, f"resolve as {wanted[:40]}", id_, why)
        refund_id = await self._desk.resolve(id_, wanted, session.operator, why)
        if refund_id is not None and refund_id != id_:
            return f"Done. {id_} left the list; refund {refund_id} waits for another's approval."
        return f"Done. {id_} left the list."

    async def _replay_parked(self, _request: web.Request, session: Session, form: Form) -> str:
        name = form.get("queue", "parked")
        queue = self._sources.parked.get(name)
        if queue is None:
            raise InvalidField(
                "queue", f"{name[:60]!r} is unknown", ", ".join(self._sources.parked)
            )
        message_id = form.get("message_id")
        if message_id is None and form.get("sure") != "yes":
            raise SURE
        subject = f"{name}: all" if message_id is None else f"{name}: {message_id[:255]}"
        await self._note(session, "replay", subject)
        return _replayed(await queue.send_back(None if message_id is None else [message_id]))

    async def _replay_callback(self, request: web.Request, session: Session, _form: Form) -> str:
        text = request.match_info["inbox_id"]
        unknown = Refused(404, "not-found", f"no callback {text[:20]} is kept")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise unknown
        inbox_id = int(text)
        await self._note(session, "replay callback", text)
        if not await self._sources.inbox.replay([inbox_id], self._clock.now()):
            raise unknown
        return f"Callback {inbox_id} is applied again in a moment."

    async def _pause(self, request: web.Request, session: Session, form: Form) -> str:
        name, why = request.match_info["name"], _why(form)
        await self._note(session, "pause", name, why)
        await self._sources.gateways.pause(name, session.operator, why)
        return f"Gateway {name} is paused. Its payments stay watched."

    async def _resume(self, request: web.Request, session: Session, form: Form) -> str:
        name, why = request.match_info["name"], form.get("why", "").strip() or None
        await self._note(session, "resume", name, why)
        view = await self._sources.gateways.resume(name, session.operator, why)
        return f"Gateway {name} is {'asked again' if view['changed'] else 'not paused'}."

    async def _tell(self, request: web.Request, session: Session, _form: Form) -> str:
        order_id = _id(request)
        await self._note(session, "notify", order_id)
        return await self._notify(order_id, session.operator)


def amount_of(text: str, currency: str) -> int | None:
    """Return the minor units of an amount as people write it; None: nothing was written."""
    if not text.strip():
        return None
    exponent, minor = EXPONENTS.get(currency), Decimal("NaN")
    if _AMOUNT.fullmatch(text.strip()) and exponent is not None:
        minor = Decimal(text.strip()).scaleb(exponent)
    if not minor.is_finite() or minor != minor.to_integral_value():
        allowed = f"an amount of {currency} such as {money(1999, currency)}, or nothing for all"
        raise InvalidField("amount", f"{text.strip()[:40]!r} is no amount", allowed)
    return check_amount(int(minor))


def _id(request: web.Request) -> str:
    return check_id(request.match_info["id"], "id")


def _why(form: Form) -> str:
    why = form.get("why", "").strip()
    if not why:
        raise InvalidField("why", "is missing", "a reason, in one line")
    return why


def _replayed(answer: Mapping[str, Any]) -> str:
    left: list[dict[str, Any]] = answer["left"]
    told = f"{answer['replayed']} sent back to where they came from."
    if left:
        told += f" {len(left)} stay: {left[0]['problem']}."
    if answer["absent"]:
        told += " The message was not there any more."
    return told
