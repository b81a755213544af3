"""Events of Stripe: proven on the raw bytes, read afterwards, and never believed by themselves."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.report import Outcome
from payonce.ports.gateway import ChargeWord, Gateway, RefundWord
from payonce.settings.secret import Secret
from tests.gateways.rigs import open_gateway
from tests.gateways.stripe_rigs import (
    CREDENTIALS,
    OLD_SIGNING,
    SIGNING,
    charge_object,
    intent_object,
    open_session_object,
    refund_object,
    session_object,
)

NOW = datetime.now(UTC).replace(microsecond=0)
OTHER = "whsec_0123456789abcdefABCDEF0123456789"

HYPOTHESIS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def body_of(told: object, kind: str = "checkout.session.completed", **changed: Any) -> bytes:
    """Return an event."""
    event = {"id": "evt_1", "object": "event", "type": kind, "data": {"object": told}}
    return json.dumps({**event, **changed}).encode()


PAID = body_of(session_object(payment_intent="pi_1"))


def signed(body: bytes = PAID, secret: str = SIGNING, at: datetime = NOW) -> dict[str, str]:
    """Return the header of an event, as Stripe's own SDK makes it."""
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode("latin-1"), secret, int(at.timestamp())
    )
    return {"Stripe-Signature": header}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """The adapter, with one secret."""
    async with open_gateway("http://127.0.0.1:1", credentials=CREDENTIALS) as opened:
        yield opened


async def refused(
    gateway: Gateway, headers: Mapping[str, str], body: bytes = PAID, now: datetime = NOW
) -> str:
    """Return the code by which an event is refused."""
    with pytest.raises(BadCallback) as caught:
        await gateway.check_callback(headers, body, now)
    return caught.value.code


async def test_an_event_in_order_is_taken(gateway: Gateway) -> None:
    """With its id, and of its headers that alone which proves it."""
    headers = {**signed(), "Authorization": "Bearer hunter2"}
    checked = await gateway.check_callback(headers, PAID, NOW)
    assert ("evt_1", {"stripe-signature": signed()["Stripe-Signature"]}) == (
        checked.event_id,
        dict(checked.headers),
    )


async def test_the_signature_is_what_openssl_makes_of_it(gateway: Gateway) -> None:
    """Made by `openssl dgst -sha256 -hmac` over `1750000000.` and the body."""
    body, at = b'{"id":"evt_1","object":"event"}', datetime.fromtimestamp(1_750_000_000, UTC)
    digest = "9c7e215e8537137447b1314cff551755e2c474ed087493ca5b61418d10232a13"
    headers = {"stripe-signature": f"t=1750000000,v1={digest}"}
    assert "evt_1" == (await gateway.check_callback(headers, body, at)).event_id
    assert "bad-signature" == await refused(gateway, headers, body + b" ", at)
    headers = {"stripe-signature": f"t=1750000001,v1={digest}"}
    assert "bad-signature" == await refused(gateway, headers, body, at)


async def test_stripe_s_own_sdk_takes_and_refuses_what_we_do(gateway: Gateway) -> None:
    """Both ways, for good and for bad."""
    header = signed()["Stripe-Signature"]
    assert stripe.WebhookSignature.verify_header(PAID, header, SIGNING, 300)
    assert "bad-signature" == await refused(gateway, signed(secret=OTHER))
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(PAID, header, OTHER, 300)


@pytest.mark.parametrize(
    ("off_s", "code"), [(0, ""), (300, ""), (-300, ""), (301, "stale"), (-301, "early")]
)
async def test_five_minutes_are_allowed_in_both_directions(
    gateway: Gateway, off_s: int, code: str
) -> None:
    """And not a second more."""
    now = NOW + timedelta(seconds=off_s)
    if code:
        assert code == await refused(gateway, signed(), now=now)
    else:
        assert "evt_1" == (await gateway.check_callback(signed(), PAID, now)).event_id


async def test_only_what_is_well_signed_is_called_stale(gateway: Gateway) -> None:
    """So that the figure tells of replays and clocks, not of scanners."""
    old = signed(secret=OTHER, at=NOW - timedelta(hours=1))
    assert "bad-signature" == await refused(gateway, old)


async def test_while_a_secret_is_rolled_every_one_is_taken() -> None:
    """Ours are several, and Stripe signs with each of its own."""
    both = (Secret(SIGNING), Secret(OLD_SIGNING))
    credentials = replace(CREDENTIALS, webhook_secrets=both)
    async with open_gateway("http://127.0.0.1:1", credentials=credentials) as gateway:
        for secret in (SIGNING, OLD_SIGNING):
            assert await gateway.check_callback(signed(secret=secret), PAID, NOW)
        assert "bad-signature" == await refused(gateway, signed(secret=OTHER))
    other, ours = signed(secret=OTHER)["Stripe-Signature"], signed()["Stripe-Signature"]
    several = {"stripe-signature": f"{other},{ours.partition(',')[2]},v0=abc"}
    async with open_gateway("http://127.0.0.1:1", credentials=CREDENTIALS) as gateway:
        assert await gateway.check_callback(several, PAID, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=" + "0" * 64,
        "t=,v1=" + "0" * 64,
        "t=now,v1=" + "0" * 64,
        "t=1,t=2,v1=" + "0" * 64,
        "t=" + "1" * 13 + ",v1=" + "0" * 64,
        "t=\u0661,v1=" + "0" * 64,
        "t=1,v0=" + "0" * 64,
        "t=1,v1=" + "0" * 63,
        "t=1,v1=\udcff",
        "t=1," + "v1=0," * 5_000,
    ],
)
async def test_a_header_out_of_shape_is_a_bad_signature(gateway: Gateway, header: str) -> None:
    """Missing, empty, doubled, too long, not ASCII, of another scheme."""
    assert "bad-signature" == await refused(gateway, {"stripe-signature": header})


async def test_two_times_are_none(gateway: Gateway) -> None:
    """Though one of them was signed: which one counts, nobody says."""
    header = signed()["Stripe-Signature"]
    assert "bad-signature" == await refused(gateway, {"stripe-signature": f"{header},t=2"})


@HYPOTHESIS
@given(data=st.data())
async def test_no_flipped_byte_of_the_body_passes(gateway: Gateway, data: st.DataObject) -> None:
    """Any byte, any flip."""
    at = data.draw(st.integers(0, len(PAID) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = PAID[:at] + bytes([PAID[at] ^ flip]) + PAID[at + 1 :]
    assert "bad-signature" == await refused(gateway, signed(), changed)


@HYPOTHESIS
@given(header=st.text(max_size=120), body=st.binary(max_size=300))
async def test_strangers_get_a_refusal_and_nothing_else(
    gateway: Gateway, header: str, body: bytes
) -> None:
    """Whatever they send."""
    assert "bad-signature" == await refused(gateway, {"Stripe-Signature": header}, body)


async def test_a_signed_body_without_an_id_stands_for_itself(gateway: Gateway) -> None:
    """It is kept once, however often it comes."""
    for body in (b"nonsense", b"{}", body_of({}, id="a b")):
        checked = await gateway.check_callback(signed(body), body, NOW)
        again = await gateway.check_callback(signed(body), body, NOW)
        assert checked.event_id.startswith("sha256:")
        assert checked.event_id == again.event_id


@pytest.mark.parametrize(
    ("told", "kind", "ref", "outcome"),
    [
        (session_object(payment_intent="pi_1"), "completed", "cs_test_1", Outcome.SUCCEEDED),
        (open_session_object(status="complete"), "completed", "cs_test_1", Outcome.PENDING),
        (open_session_object(status="expired"), "expired", "cs_test_1", Outcome.PENDING),
        (intent_object(latest_charge="ch_1"), "succeeded", "pi_1", Outcome.SUCCEEDED),
        (intent_object(status="canceled"), "canceled", "pi_1", Outcome.PENDING),
        (charge_object(amount_refunded=5), "refunded", None, Outcome.PENDING),
    ],
)
async def test_an_event_about_a_charge_is_a_hint(
    gateway: Gateway, told: Any, kind: str, ref: str | None, outcome: Outcome
) -> None:
    """It names the payment and what it is called at Stripe; the rest is asked."""
    word = gateway.read_callback({}, body_of(told, kind))
    assert isinstance(word, ChargeWord)
    assert ("p-1", ref, outcome, False) == (
        word.payment_id,
        word.report.gateway_ref,
        word.report.outcome,
        word.authoritative,
    )


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed"])
async def test_an_event_about_a_refund_is_a_hint(gateway: Gateway, status: str) -> None:
    """It names refund and payment."""
    word = gateway.read_callback({}, body_of(refund_object(status=status), "refund.updated"))
    assert isinstance(word, RefundWord)
    assert ("p-1", "rf-1", status, False) == (
        word.payment_id,
        word.refund_id,
        word.report.outcome.value,
        word.authoritative,
    )


NONSENSE = [
    (b"", "body"),
    (b"[]", "body"),
    (b"[" * 60_000, "body"),
    (body_of(None), "data.object"),
    (body_of({}), "data.object"),
    (body_of({"object": "checkout.session"}), "data.object.metadata.payment_id"),
    (body_of(session_object(metadata={})), "data.object.metadata.payment_id"),
    (body_of(session_object(metadata={"payment_id": "a b"})), "data.object.metadata.payment_id"),
    (body_of(session_object(metadata={"payment_id": 1})), "data.object"),
    (body_of(session_object(status="maybe")), "data.object"),
    (body_of(session_object(id="../x")), "id"),
    (body_of(intent_object(id="ch_1")), "id"),
    (body_of(refund_object(metadata={"payment_id": "p-1"})), "data.object.metadata.refund_id"),
    (body_of(refund_object(status="gone")), "data.object"),
    (body_of({"object": "customer", "metadata": {"payment_id": "p-1"}}), "data.object"),
]


@pytest.mark.parametrize(("body", "field"), NONSENSE)
async def test_signed_nonsense_is_named(gateway: Gateway, body: bytes, field: str) -> None:
    """The field, and what is allowed."""
    with pytest.raises(InvalidField) as caught:
        gateway.read_callback({}, body)
    assert field == caught.value.field
    assert caught.value.allowed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.sampled_from([session_object, intent_object, refund_object, charge_object])


@HYPOTHESIS
@given(data=st.data(), raw=st.none() | st.binary(max_size=200))
async def test_reading_says_what_is_meant_or_that_it_is_nonsense(
    gateway: Gateway, data: st.DataObject, raw: bytes | None
) -> None:
    """It never raises anything else."""
    make = data.draw(OBJECTS)
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(make())), JSON, max_size=3))
    try:
        word = gateway.read_callback({}, body_of(make(**changed)) if raw is None else raw)
    except InvalidField:
        return
    assert 1 <= len(word.payment_id) <= 64
    assert not word.authoritative


async def test_an_event_is_answered_with_a_2xx(gateway: Gateway) -> None:
    """Else Stripe comes again for three days."""
    assert 200 == gateway.callback_answer.status
