"""Callbacks of the `http` gateway: proven on the raw bytes, read afterwards."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.report import Outcome
from payonce.domain.signature import sign, signing_key
from payonce.ports.gateway import ChargeWord, Gateway, RefundOutcome, RefundWord
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import OLD_SECRET, SECRET, charge_json, open_gateway, refund_json

NOW = datetime.now(UTC).replace(microsecond=0)
NEW_SECRET = "whsec_dGhlLXNlY3JldC1vZi10b21vcnJvdyE="
MAX_AMOUNT = 9007199254740991

HYPOTHESIS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """The adapter, with one secret."""
    async with open_gateway("http://127.0.0.1:1") as opened:
        yield opened


def body_of(data: object, kind: str = "charge") -> bytes:
    """Return a callback's body."""
    return json.dumps({"type": kind, "data": data}).encode()


PAID = body_of(charge_json())


def signed(
    body: bytes = PAID, secret: str = SECRET, at: datetime = NOW, event_id: str = "msg_1"
) -> dict[str, str]:
    """Return the headers of a callback."""
    return sign(signing_key(secret), event_id, int(at.timestamp()), body)


async def refused(
    gateway: Gateway, headers: Mapping[str, str], body: bytes = PAID, now: datetime = NOW
) -> str:
    """Return the code by which a callback is refused."""
    with pytest.raises(BadCallback) as caught:
        await gateway.check_callback(headers, body, now)
    return caught.value.code


async def test_a_callback_in_order_is_taken(gateway: Gateway) -> None:
    """With its id, and of its headers those alone that prove it."""
    headers = {**signed(), "Authorization": "Bearer hunter2", "Host": "shop"}
    checked = await gateway.check_callback(headers, PAID, NOW)
    assert ("msg_1", signed()) == (checked.event_id, dict(checked.headers))


async def test_names_of_headers_are_taken_in_any_case(gateway: Gateway) -> None:
    """HTTP says so, and proxies rewrite them."""
    headers = {name.title(): value for name, value in signed().items()}
    assert "msg_1" == (await gateway.check_callback(headers, PAID, NOW)).event_id


async def test_what_the_reference_library_signs_is_taken(gateway: Gateway) -> None:
    """Gateways sign with any library of Standard Webhooks."""
    headers = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_2", NOW, PAID.decode()),
    }
    assert "msg_2" == (await gateway.check_callback(headers, PAID, NOW)).event_id


async def test_the_reference_library_takes_and_refuses_what_we_do(gateway: Gateway) -> None:
    """Both ways, for good and for bad."""
    assert json.loads(PAID) == Webhook(SECRET).verify(PAID, signed())
    assert "bad-signature" == await refused(gateway, signed(secret=OLD_SECRET))
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(PAID, signed(secret=OLD_SECRET))


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
        assert "msg_1" == (await gateway.check_callback(signed(), PAID, now)).event_id


async def test_only_what_is_well_signed_is_called_stale(gateway: Gateway) -> None:
    """So that the figure tells of replays and clocks, not of scanners."""
    old = signed(secret=OLD_SECRET, at=NOW - timedelta(hours=1))
    assert "bad-signature" == await refused(gateway, old)


async def test_while_rotating_every_secret_is_taken() -> None:
    """The new one, the old one, none other; and a gateway that signs with both."""
    secrets = (Secret(NEW_SECRET), Secret(OLD_SECRET))
    async with open_gateway("http://127.0.0.1:1", credentials=HttpCredentials(secrets)) as gateway:
        for secret in (NEW_SECRET, OLD_SECRET):
            assert await gateway.check_callback(signed(secret=secret), PAID, NOW)
        assert "bad-signature" == await refused(gateway, signed(secret=SECRET))
        both = " ".join(
            signed(secret=one)["webhook-signature"] for one in (SECRET, "whsec_" + "A" * 32)
        )
        headers = {**signed(), "webhook-signature": f"v1a,other {both}"}
        assert "bad-signature" == await refused(gateway, headers)
        good = signed(secret=OLD_SECRET)["webhook-signature"]
        headers["webhook-signature"] += f" {good}"
        assert await gateway.check_callback(headers, PAID, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "x" * 256),
        ("webhook-id", "msg 1"),
        ("webhook-id", "msg_1\u00e9"),
        ("webhook-id", 'a.{"'),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "now"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "1" * 13),
        ("webhook-timestamp", "\u0661\u0662"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,\udcff"),
        ("webhook-signature", "v1,x " * 500),
    ],
)
async def test_a_header_out_of_shape_is_a_bad_signature(
    gateway: Gateway, name: str, value: str
) -> None:
    """Missing, empty, too long, not ASCII."""
    assert "bad-signature" == await refused(gateway, {**signed(), name: value})
    absent = {one: text for one, text in signed().items() if one != name}
    assert "bad-signature" == await refused(gateway, absent)


@HYPOTHESIS
@given(data=st.data())
async def test_no_flipped_byte_of_the_body_passes(gateway: Gateway, data: st.DataObject) -> None:
    """Any byte, any flip."""
    at = data.draw(st.integers(0, len(PAID) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = PAID[:at] + bytes([PAID[at] ^ flip]) + PAID[at + 1 :]
    assert "bad-signature" == await refused(gateway, signed(), changed)


@HYPOTHESIS
@given(data=st.data())
async def test_no_flipped_byte_of_a_header_passes(gateway: Gateway, data: st.DataObject) -> None:
    """Neither of the signature, nor of what it covers."""
    headers = signed()
    name = data.draw(st.sampled_from(sorted(headers)))
    text = headers[name]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=1, max_codepoint=255))
    headers[name] = text[:at] + other + text[at + 1 :]
    if other != text[at]:
        assert "bad-signature" == await refused(gateway, headers)


@HYPOTHESIS
@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature"]) | st.text(),
        st.text(max_size=80),
    ),
    body=st.binary(max_size=300),
)
async def test_strangers_get_a_refusal_and_nothing_else(
    gateway: Gateway, headers: dict[str, str], body: bytes
) -> None:
    """Whatever they send."""
    assert "bad-signature" == await refused(gateway, headers, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*charge_json(), *refund_json(), "qr"])


@HYPOTHESIS
@given(
    kind=st.sampled_from(["charge", "refund"]) | JSON,
    changed=st.dictionaries(FIELDS, JSON, max_size=4),
    raw=st.none() | st.binary(max_size=200),
)
async def test_reading_says_what_is_meant_or_that_it_is_nonsense(
    gateway: Gateway, kind: Any, changed: dict[str, Any], raw: bytes | None
) -> None:
    """It never raises anything else, and what it returns is in range."""
    body = raw if raw is not None else body_of({**charge_json(), **refund_json(), **changed}, kind)
    try:
        word = gateway.read_callback({}, body)
    except InvalidField:
        return
    assert 1 <= len(word.payment_id) <= 64
    if isinstance(word, ChargeWord):
        assert word.report.outcome is not Outcome.UNKNOWN
        assert 1 <= (word.report.amount or 0) <= MAX_AMOUNT
    else:
        assert word.report.outcome is not RefundOutcome.UNKNOWN


async def test_a_signed_success_needs_no_question(gateway: Gateway) -> None:
    """The gateway's own word, with all that a settlement needs."""
    word = gateway.read_callback({}, PAID)
    assert isinstance(word, ChargeWord)
    assert word.authoritative
    report = word.report
    assert ("p-1", Outcome.SUCCEEDED, "ch_1", 1999, "CNY") == (
        word.payment_id,
        report.outcome,
        report.gateway_ref,
        report.amount,
        report.currency,
    )


@pytest.mark.parametrize(
    "changed", [{"status": "failed"}, {"status": "closed"}, {"status": "pending"}, {"refunded": 1}]
)
async def test_everything_else_of_a_charge_is_a_hint(
    gateway: Gateway, changed: dict[str, Any]
) -> None:
    """It is asked about."""
    word = gateway.read_callback({}, body_of(charge_json(**changed)))
    assert isinstance(word, ChargeWord)
    assert not word.authoritative


@pytest.mark.parametrize("status", ["pending", "succeeded", "failed"])
async def test_a_refund_s_word_names_refund_and_payment(gateway: Gateway, status: str) -> None:
    """Also of one that is not ours, under the gateway's own id."""
    data = refund_json(status=status, refund_id="outside p-1")
    word = gateway.read_callback({}, body_of(data, "refund"))
    assert isinstance(word, RefundWord)
    assert ("p-1", "outside p-1", status) == (
        word.payment_id,
        word.refund_id,
        word.report.outcome.value,
    )


NONSENSE = [
    (b"", "body"),
    (b"[]", "body"),
    (b"\xff", "body"),
    (b"[" * 60_000, "body"),
    (body_of(charge_json(), "dispute"), "body"),
    (body_of(None), "data"),
    (body_of({}), "data"),
    (body_of(charge_json(payment_id="a b")), "data.payment_id"),
    (body_of(charge_json(payment_id="x" * 65)), "data.payment_id"),
    (body_of(charge_json(amount=0)), "data"),
    (body_of(charge_json(amount=10**30)), "data"),
    (body_of(charge_json(amount="1999")), "data"),
    (body_of(charge_json(currency="yuan")), "data"),
    (body_of(charge_json(status="maybe")), "data"),
    (body_of(charge_json(refunded=2000)), "data"),
    (body_of(charge_json(paid_at="yesterday")), "data"),
    (body_of(charge_json(), "refund"), "data"),
    (body_of(refund_json(refund_id=""), "refund"), "data.refund_id"),
    (body_of(refund_json(refund_id="a\nb"), "refund"), "data.refund_id"),
    (body_of(refund_json(payment_id="-"), "refund"), "data.payment_id"),
]


@pytest.mark.parametrize(("body", "field"), NONSENSE)
async def test_signed_nonsense_is_named(gateway: Gateway, body: bytes, field: str) -> None:
    """The field, and what is allowed."""
    with pytest.raises(InvalidField) as caught:
        gateway.read_callback({}, body)
    assert field == caught.value.field
    assert caught.value.allowed
