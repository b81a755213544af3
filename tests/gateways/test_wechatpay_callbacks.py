"""WeChat Pay's callbacks: proven on the raw bytes, read afterwards; its keys come and go."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_mock.wechatpay_keys import PlatformKey
from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.report import Outcome
from payonce.gateways.wechatpay import WechatPayGateway
from payonce.ports.gateway import ChargeWord, RefundOutcome, RefundWord
from payonce.settings.secret import Secret
from tests.gateways.rigs import CHARGE, NEW_CHARGE, settings_for
from tests.gateways.wechatpay_rigs import (
    KEY,
    MADE,
    NOW,
    PAID,
    Rig,
    letter,
    open_rig,
    order,
    refund,
    signed,
)
from tests.support.wechatpay import credentials_for, other_certificate

HYPOTHESIS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The adapter, with the sandbox's certificate and public key."""
    async with open_rig() as opened:
        yield opened


async def refused(rig: Rig, headers: Mapping[str, str], body: bytes = PAID, off_s: int = 0) -> str:
    """Return the code by which a callback is refused."""
    with pytest.raises(BadCallback) as caught:
        await rig.gateway.check_callback(headers, body, NOW + timedelta(seconds=off_s))
    return caught.value.code


@pytest.mark.parametrize("key", [KEY, MADE.public_key], ids=["certificate", "public-key"])
async def test_a_callback_in_order_is_taken(rig: Rig, key: PlatformKey) -> None:
    """By either key; of its headers those alone are kept that prove it."""
    headers = {**signed(key=key), "Authorization": "Bearer hunter2", "Host": "shop"}
    checked = await rig.gateway.check_callback(headers, PAID, NOW)
    assert "EV-1" == checked.event_id
    assert {
        "wechatpay-serial",
        "wechatpay-signature",
        "wechatpay-timestamp",
        "wechatpay-nonce",
    } == set(checked.headers)
    assert checked.headers["wechatpay-serial"] == key.number


async def test_names_of_headers_are_taken_in_any_case(rig: Rig) -> None:
    """HTTP says so, and proxies rewrite them."""
    headers = {name.upper(): value for name, value in signed().items()}
    assert "EV-1" == (await rig.gateway.check_callback(headers, PAID, NOW)).event_id


async def test_what_the_mock_sends_is_taken(rig: Rig) -> None:
    """Its letter, as it goes over the wire."""
    await rig.gateway.create(NEW_CHARGE)
    charge = rig.mock.books.charges["p-1"]
    charge.paid_at = rig.mock.clock()
    sent = rig.mock.charge_letter(charge, rig.mock.clock())
    assert sent is not None
    headers = sent.headers(int(NOW.timestamp()))
    assert (await rig.gateway.check_callback(headers, sent.content, NOW)).event_id
    word = rig.gateway.read_callback(headers, sent.content)
    assert ("p-1", Outcome.SUCCEEDED, 1999) == (
        word.payment_id,
        word.report.outcome,
        getattr(word.report, "amount", None),
    )


@pytest.mark.parametrize(
    ("off_s", "code"), [(0, ""), (300, ""), (-300, ""), (301, "stale"), (-301, "early")]
)
async def test_five_minutes_are_allowed_in_both_directions(rig: Rig, off_s: int, code: str) -> None:
    """And not a second more."""
    if code:
        assert code == await refused(rig, signed(), off_s=off_s)
    else:
        now = NOW + timedelta(seconds=off_s)
        assert await rig.gateway.check_callback(signed(), PAID, now)


async def test_a_probe_is_refused_and_asks_for_no_key(rig: Rig) -> None:
    """WeChat Pay sends signatures that do not hold, and wants to see a 4xx."""
    for serial in (KEY.number, "1234567890ABCDEF"):
        headers = signed() | {
            "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + "A" * 325,
            "Wechatpay-Serial": serial,
        }
        assert "bad-signature" == await refused(rig, headers)
    assert 0 == rig.asked("certificates")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Wechatpay-Serial", ""),
        ("Wechatpay-Serial", "a b"),
        ("Wechatpay-Serial", "A" * 81),
        ("Wechatpay-Signature", ""),
        ("Wechatpay-Signature", "x"),
        ("Wechatpay-Signature", "A" * 2049),
        ("Wechatpay-Signature", "é"),
        ("Wechatpay-Timestamp", ""),
        ("Wechatpay-Timestamp", "now"),
        ("Wechatpay-Timestamp", "-1"),
        ("Wechatpay-Timestamp", "١٢"),
        ("Wechatpay-Nonce", ""),
        ("Wechatpay-Nonce", "a\nb"),
        ("Wechatpay-Nonce", "x" * 257),
    ],
)
async def test_a_header_out_of_shape_is_a_bad_signature(rig: Rig, name: str, value: str) -> None:
    """Missing, empty, too long, not ASCII."""
    assert "bad-signature" == await refused(rig, signed() | {name: value})
    absent = {one: text for one, text in signed().items() if one != name}
    assert "bad-signature" == await refused(rig, absent)


async def test_another_key_s_signature_does_not_hold(rig: Rig) -> None:
    """A serial that is known, and a signature that is not by its key."""
    stranger = replace(other_certificate(), number=KEY.number)
    assert "bad-signature" == await refused(rig, signed(key=stranger))
    swapped = signed(key=MADE.public_key) | {"Wechatpay-Serial": KEY.number}
    assert "bad-signature" == await refused(rig, swapped)


@HYPOTHESIS
@given(data=st.data())
async def test_no_flipped_byte_of_the_body_passes(rig: Rig, data: st.DataObject) -> None:
    """Any byte, any flip."""
    at = data.draw(st.integers(0, len(PAID) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = PAID[:at] + bytes([PAID[at] ^ flip]) + PAID[at + 1 :]
    assert "bad-signature" == await refused(rig, signed(), changed)


@HYPOTHESIS
@given(
    headers=st.dictionaries(
        st.sampled_from(["Wechatpay-Signature", "wechatpay-nonce", "WECHATPAY-TIMESTAMP"])
        | st.text(),
        st.text(max_size=80),
    ),
    body=st.binary(max_size=300),
)
async def test_strangers_get_a_refusal_and_nothing_else(
    rig: Rig, headers: dict[str, str], body: bytes
) -> None:
    """Whatever they send."""
    given = {"Wechatpay-Serial": KEY.number, **headers}
    assert "bad-signature" == await refused(rig, given, body)


async def test_a_callback_without_an_id_of_its_own_is_known_by_its_body(rig: Rig) -> None:
    """So that its repeats are one, too."""
    ids = set()
    for body in (b"{}", b"", b"\xff", letter(MADE, {}, id=""), letter(MADE, {}, id="a b")):
        checked = await rig.gateway.check_callback(signed(body), body, NOW)
        assert checked.event_id.startswith("sha256-")
        assert checked == await rig.gateway.check_callback(
            {name.lower(): one for name, one in checked.headers.items()}, body, NOW
        )
        ids.add(checked.event_id)
    assert 5 == len(ids)


@pytest.mark.parametrize(("told_after_s", "believed"), [(0, True), (60, True), (61, False)])
async def test_a_success_that_is_told_at_once_needs_no_question(
    rig: Rig, told_after_s: int, believed: bool
) -> None:
    """A later repeat does not say whether the money went back meanwhile."""
    headers = KEY.sign(PAID, int(NOW.timestamp()) + told_after_s)
    word = rig.gateway.read_callback(headers, PAID)
    assert isinstance(word, ChargeWord)
    assert believed is word.authoritative
    report = word.report
    assert ("p-1", Outcome.SUCCEEDED, "4200001234202611250000000001", 1999, "CNY", NOW) == (
        word.payment_id,
        report.outcome,
        report.gateway_ref,
        report.amount,
        report.currency,
        report.paid_at,
    )


@pytest.mark.parametrize(
    "changed", [{"trade_state": one} for one in ("REFUND", "NOTPAY", "CLOSED", "PAYERROR")]
)
async def test_everything_else_of_a_charge_is_a_hint(rig: Rig, changed: dict[str, Any]) -> None:
    """It is asked about."""
    word = rig.gateway.read_callback(signed(), letter(MADE, order(MADE, **changed)))
    assert isinstance(word, ChargeWord)
    assert not word.authoritative


async def test_without_its_headers_a_success_is_a_hint(rig: Rig) -> None:
    """Nobody knows then when it was told."""
    word = rig.gateway.read_callback({}, PAID)
    assert isinstance(word, ChargeWord)
    assert not word.authoritative


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SUCCESS", RefundOutcome.SUCCEEDED),
        ("CLOSED", RefundOutcome.FAILED),
        ("ABNORMAL", RefundOutcome.FAILED),
        ("PROCESSING", RefundOutcome.PENDING),
    ],
)
async def test_a_refund_s_word_names_refund_and_payment(
    rig: Rig, status: str, outcome: RefundOutcome
) -> None:
    """Also of one that is not ours, under its own number."""
    told = refund(refund_status=status, status=None, out_refund_no="by|hand@1")
    word = rig.gateway.read_callback(signed(), letter(MADE, told, "refund"))
    assert isinstance(word, RefundWord)
    assert ("p-1", "by:hand@1", outcome, False) == (
        word.payment_id,
        word.refund_id,
        word.report.outcome,
        word.authoritative,
    )


async def test_while_the_api_key_is_changed_both_open() -> None:
    """The new one, the old one, none other."""
    old = replace(MADE, api_v3_key="o" * 32)
    credentials = replace(
        credentials_for(MADE), api_v3_keys=(Secret("n" * 32), Secret(old.api_v3_key))
    )
    async with open_rig() as rig:
        gateway = WechatPayGateway(
            settings_for("http://h"), credentials, rig.gateway._caller._session, rig.meter
        )
        for made in (old, replace(MADE, api_v3_key="n" * 32)):
            assert "p-1" == gateway.read_callback({}, letter(made, order(made))).payment_id
        with pytest.raises(InvalidField, match="cannot be opened"):
            gateway.read_callback({}, PAID)


def envelope(**changed: Any) -> bytes:
    """Return a callback whose seal's fields are changed."""
    whole = json.loads(PAID)
    whole["resource"] |= changed
    return json.dumps(whole).encode()


NONSENSE = [
    (b"", "body"),
    (b"[]", "body"),
    (b"\xff", "body"),
    (b"[" * 60_000, "body"),
    (json.dumps({"id": "EV-1"}).encode(), "body"),
    (envelope(algorithm="AES"), "resource.algorithm"),
    (envelope(ciphertext="QUJD"), "resource.ciphertext"),
    (envelope(nonce="x" * 12), "resource.ciphertext"),
    (envelope(associated_data="other"), "resource.ciphertext"),
    (envelope(original_type="dispute"), "resource.original_type"),
    (letter(MADE, b"{}"), "resource"),
    (letter(MADE, b"\xff"), "resource"),
    (letter(MADE, order(MADE, mchid="1")), "resource"),
    (letter(MADE, order(MADE, amount={"total": 0})), "resource"),
    (letter(MADE, order(MADE, out_trade_no="")), "out_trade_no"),
    (letter(MADE, order(MADE, out_trade_no="-" + "a" * 31, attach=None)), "out_trade_no"),
    (letter(MADE, order(MADE, out_trade_no="_" + "a" * 25 + "b")), "out_trade_no"),
    (letter(MADE, refund(status=None), "refund"), "resource"),
    (letter(MADE, refund(out_refund_no=""), "refund"), "resource.out_refund_no"),
    (letter(MADE, refund(out_refund_no="a\nb"), "refund"), "resource.out_refund_no"),
    (letter(MADE, refund(amount={"total": 1, "refund": 2}), "refund"), "resource"),
]


@pytest.mark.parametrize(("body", "field"), NONSENSE, ids=range(len(NONSENSE)))
async def test_signed_nonsense_is_named(rig: Rig, body: bytes, field: str) -> None:
    """The field, and what is allowed."""
    with pytest.raises(InvalidField) as caught:
        rig.gateway.read_callback(signed(), body)
    assert field == caught.value.field
    assert caught.value.allowed
    assert MADE.api_v3_key not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@HYPOTHESIS
@given(
    kind=st.sampled_from(["transaction", "refund"]),
    changed=st.dictionaries(st.sampled_from([*order(MADE), *refund()]), JSON, max_size=4),
    timestamp=st.text(max_size=14),
)
async def test_reading_says_what_is_meant_or_that_it_is_nonsense(
    rig: Rig, kind: str, changed: dict[str, Any], timestamp: str
) -> None:
    """It never raises anything else, and what it returns is in range."""
    body = letter(MADE, {**order(MADE), **refund(), **changed}, kind)
    try:
        word = rig.gateway.read_callback({"wechatpay-timestamp": timestamp}, body)
    except InvalidField:
        return
    assert 1 <= len(word.payment_id) <= 64
    assert word.report.outcome not in {Outcome.UNKNOWN, RefundOutcome.UNKNOWN}


async def test_the_answer_is_what_wechat_pay_expects(rig: Rig) -> None:
    """A 200, and a body that its older pages ask for."""
    answer = rig.gateway.callback_answer
    assert (200, {"code": "SUCCESS"}) == (answer.status, json.loads(answer.body))


async def test_the_mock_s_clock_is_ours(rig: Rig) -> None:
    """A request that was signed too long ago is refused there, and so nothing is concluded here."""
    rig.clock.ahead_s = 301
    report = await rig.gateway.query(CHARGE)
    assert Outcome.UNKNOWN is report.outcome
    assert "http-401 SIGN_ERROR timestamp is too far from now" == report.reason
    assert rig.clock() - time.time() > 300
