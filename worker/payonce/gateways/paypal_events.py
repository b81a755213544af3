"""What PayPal's webhooks tell: hints, and no more (PayPal, Webhook event names)."""

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.paypal_words import PAYPAL_ID, UNREADABLE, Unit, printable, unpack
from payonce.ports.gateway import CallbackWord, ChargeWord, RefundWord


class RelatedIds(msgspec.Struct):
    """What else a resource belongs to."""

    order_id: str | None = None


class Supplement(msgspec.Struct):
    """What else is said of a resource."""

    related_ids: RelatedIds | None = None


class ResourceOf(msgspec.Struct):
    """What an event is about: an order, a capture or a refund."""

    id: str = ""
    order_id: str | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    purchase_units: list[Unit] = []
    supplementary_data: Supplement | None = None


class EventOf(msgspec.Struct):
    """A webhook's event."""

    id: str
    event_type: str
    resource: ResourceOf


events = msgspec.json.Decoder(EventOf)


def word_of(body: bytes) -> CallbackWord:
    """Return what an event says, which is never more than a hint. Raises InvalidField.

    Its signature covers a checksum of the body, and another body with the same checksum is easily
    made (CRC-32): so nothing of it is believed.
    """
    try:
        event = events.decode(body)
    except UNREADABLE as error:
        raise InvalidField("body", printable(str(error)), "an event of PayPal's webhooks") from None
    resource, kind = event.resource, event.event_type
    if kind.startswith(("CHECKOUT.ORDER.", "CHECKOUT.PAYMENT-APPROVAL.")):
        return _charge_word(_unit_id(resource), resource.order_id or resource.id)
    if kind.startswith("PAYMENT.REFUND.") or kind == "PAYMENT.CAPTURE.REFUNDED":
        return _refund_word(resource)
    if kind.startswith("PAYMENT.CAPTURE."):
        related = resource.supplementary_data and resource.supplementary_data.related_ids
        ref = related.order_id if related else None
        return _charge_word(resource.custom_id or resource.invoice_id, ref)
    raise InvalidField("event_type", f"{printable(kind[:60])} is not ours", "CHECKOUT., PAYMENT.")


def _unit_id(resource: ResourceOf) -> str | None:
    unit = resource.purchase_units[0] if resource.purchase_units else Unit()
    return unit.custom_id or unit.invoice_id


def _charge_word(payment_id: str | None, ref: str | None) -> ChargeWord:
    known = ref if ref and PAYPAL_ID.fullmatch(ref) else None
    report = GatewayReport(Outcome.PENDING, known)
    return ChargeWord(check_id(payment_id, "resource.custom_id"), report)


def _refund_word(resource: ResourceOf) -> CallbackWord:
    """Return what is said of a refund: of ours, or of one made elsewhere, with its payment's ids.

    How much is left, the charge itself tells.
    """
    refund_id, payment_id = unpack(resource.custom_id or "")
    if payment_id is None:
        return _charge_word(resource.custom_id or resource.invoice_id, None)
    report = RefundReport(RefundOutcome.UNKNOWN, "a hint")
    checked = check_id(refund_id, "resource.custom_id")
    return RefundWord(check_id(payment_id, "resource.custom_id"), checked, report)
