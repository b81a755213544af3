"""What events of PayPal tell, and how refunds are named there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.errors import InvalidField
from payonce.domain.report import Outcome
from payonce.gateways.paypal_events import word_of
from payonce.gateways.paypal_words import pack, unpack
from payonce.ports.gateway import ChargeWord, RefundWord


def event(kind: str, **resource: Any) -> bytes:
    """Return an event."""
    return json.dumps({"id": "WH-1", "event_type": kind, "resource": resource}).encode()


UNITS = [{"custom_id": "p-1", "invoice_id": "p-1"}]


@pytest.mark.parametrize(
    ("body", "ref"),
    [
        (event("CHECKOUT.ORDER.APPROVED", id="5O1", purchase_units=UNITS), "5O1"),
        (event("CHECKOUT.ORDER.COMPLETED", id="5O1", purchase_units=UNITS), "5O1"),
        (
            event("CHECKOUT.PAYMENT-APPROVAL.REVERSED", order_id="5O1", purchase_units=UNITS),
            "5O1",
        ),
        (event("PAYMENT.CAPTURE.COMPLETED", id="3C1", custom_id="p-1"), None),
        (event("PAYMENT.CAPTURE.DENIED", id="3C1", invoice_id="p-1"), None),
        (event("PAYMENT.CAPTURE.PENDING", id="3C1", custom_id="p-1"), None),
        (event("PAYMENT.CAPTURE.REVERSED", id="3C1", custom_id="p-1"), None),
        (event("PAYMENT.CAPTURE.REFUNDED", id="1R1", custom_id="p-1", invoice_id="p-1"), None),
        (event("PAYMENT.CAPTURE.REFUNDED", id="1R1", invoice_id="p-1"), None),
        (
            event(
                "PAYMENT.CAPTURE.COMPLETED",
                custom_id="p-1",
                supplementary_data={"related_ids": {"order_id": "5O1"}},
            ),
            "5O1",
        ),
    ],
)
def test_events_of_a_charge_are_hints(body: bytes, ref: str | None) -> None:
    """Its checksum proves no body, so that nothing in it is believed."""
    word = word_of(body)
    assert isinstance(word, ChargeWord)
    assert ("p-1", Outcome.PENDING, ref, False) == (
        word.payment_id,
        word.report.outcome,
        word.report.gateway_ref,
        word.authoritative,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        event("BILLING.PLAN.CREATED", id="x"),
        event("CHECKOUT.ORDER.APPROVED", id="5O1"),
        event("PAYMENT.CAPTURE.COMPLETED", id="3C1"),
        event("PAYMENT.CAPTURE.COMPLETED", id="3C1", custom_id="not an id"),
        event("PAYMENT.CAPTURE.REFUNDED", custom_id="rf-1,-not an id"),
        event("PAYMENT.CAPTURE.REFUNDED", custom_id="bad id,-p-1"),
    ],
)
def test_what_tells_nothing_is_an_invalid_field(body: bytes) -> None:
    """And nothing else is raised."""
    with pytest.raises(InvalidField):
        word_of(body)


@given(st.binary(max_size=200))
def test_whatever_a_body_holds_it_is_a_word_or_an_invalid_field(body: bytes) -> None:
    """A stranger's bytes raise nothing else."""
    try:
        word = word_of(body)
    except InvalidField:
        return
    assert isinstance(word, ChargeWord | RefundWord)


IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}\Z")


@given(IDS, IDS)
def test_a_refund_s_name_comes_back_as_it_went(refund_id: str, payment_id: str) -> None:
    """As PayPal takes it, 127 letters at most; the payment's where there is room."""
    packed = pack(refund_id, payment_id)
    assert len(packed) <= 127
    assert not set(packed) - set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.,"
    )
    named = unpack(packed)
    assert named in {(refund_id, payment_id), (refund_id, None)}
    if len(refund_id) + len(payment_id) <= 125 and ":" not in refund_id + payment_id:
        assert (refund_id, payment_id) == named
