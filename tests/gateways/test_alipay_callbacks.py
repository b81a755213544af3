"""Callbacks of Alipay: proven on the decoded form, read afterwards, and never believed."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.ids import refund_id
from payonce.domain.report import Outcome, RefundOutcome
from payonce.gateways.alipay_numbers import number_of
from payonce.ports.gateway import ChargeWord, Gateway, RefundWord
from tests.gateways.alipay_rigs import CHARGE_SOON, FORM, NOW, open_desk, posted, posted_by
from tests.gateways.rigs import open_gateway
from tests.support.alipay import credentials_for, sandbox, strangers

HYPOTHESIS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """The adapter."""
    async with open_gateway("http://h", credentials=credentials_for(sandbox())) as opened:
        yield opened


async def code_of(gateway: Gateway, body: bytes, ahead: timedelta = timedelta(0)) -> str:
    """Return the code by which a callback is refused."""
    with pytest.raises(BadCallback) as caught:
        await gateway.check_callback({}, body, NOW + ahead)
    return caught.value.code


async def test_a_callback_in_order_is_taken(gateway: Gateway) -> None:
    """With its notify_id, and none of the headers, which prove nothing."""
    checked = await gateway.check_callback({"Authorization": "Bearer hunter2"}, posted(), NOW)
    assert (FORM["notify_id"], {}) == (checked.event_id, dict(checked.headers))


@pytest.mark.parametrize("left_out", ["sign_type", "nothing"])
async def test_kinds_that_sign_their_sign_type_are_taken(gateway: Gateway, left_out: str) -> None:
    """As those that do not."""
    await gateway.check_callback({}, posted_by(sandbox(), left_out), NOW)


async def test_the_form_is_decoded_once(gateway: Gateway) -> None:
    """However its writer escapes: %20 or +, small or large hex digits; never twice."""
    body = posted(subject="a+b c%20d 100%25 &=")
    await gateway.check_callback({}, body, NOW)
    await gateway.check_callback({}, body.replace(b"+", b"%20"), NOW)
    pairs = parse_qsl(body.decode())
    lower = "&".join(f"{name}={quote(value, safe='').lower()}" for name, value in pairs)
    assert "bad-signature" == await code_of(gateway, lower.encode())
    twice = urlencode([(name, quote(value)) for name, value in pairs])
    assert "bad-signature" == await code_of(gateway, twice.encode())


@pytest.mark.parametrize("name", sorted(FORM))
async def test_each_field_is_signed(gateway: Gateway, name: str) -> None:
    """One character more, or the field left out."""
    fields = dict(parse_qsl(posted().decode()))
    more = {**fields, name: fields[name] + "1"}
    less = {key: value for key, value in fields.items() if key != name}
    for form in (more, less):
        assert "bad-signature" == await code_of(gateway, urlencode(form).encode())


async def test_a_field_that_is_there_twice_is_refused(gateway: Gateway) -> None:
    """One reader would take the first of them, another the last."""
    body = posted()
    for twice in (b"total_amount=0.01&" + body, body + b"&total_amount=19.99"):
        assert "bad-signature" == await code_of(gateway, twice)


async def test_nobody_else_s_signature_is_taken(gateway: Gateway) -> None:
    """Another's key, or our own."""
    assert "bad-signature" == await code_of(gateway, posted_by(strangers(), "sign_type"))
    ours = sandbox()
    ours.alipay = ours.app
    assert "bad-signature" == await code_of(gateway, posted_by(ours, "sign_type"))


@pytest.mark.parametrize(
    "changed", [{"app_id": "2021000000000002"}, {"seller_id": "2088000000000002"}]
)
async def test_another_merchant_s_callback_is_refused(
    gateway: Gateway, changed: dict[str, str]
) -> None:
    """Though Alipay signed it."""
    assert "bad-signature" == await code_of(gateway, posted(**changed))


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(minutes=5, seconds=1), "stale"),
        (timedelta(days=400), "stale"),
        (timedelta(minutes=-5, seconds=-1), "early"),
    ],
)
async def test_what_is_not_of_now_is_refused(gateway: Gateway, ahead: timedelta, code: str) -> None:
    """More than five minutes old, unless more is allowed, or ahead."""
    assert code == await code_of(gateway, posted(), ahead)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=5), timedelta(minutes=-5)])
async def test_a_callback_of_now_is_taken(gateway: Gateway, ahead: timedelta) -> None:
    """Clocks may differ by five minutes; its id is that of all repeats, so that it counts once."""
    checked = await gateway.check_callback({}, posted(), NOW + ahead)
    assert FORM["notify_id"] == checked.event_id


async def test_repeats_with_the_time_of_the_first_can_be_allowed() -> None:
    """For as long as Alipay repeats."""
    credentials = credentials_for(sandbox(), callbacks_for=timedelta(hours=26))
    async with open_gateway("http://h", credentials=credentials) as gateway:
        checked = await gateway.check_callback({}, posted(), NOW + timedelta(hours=25))
        assert FORM["notify_id"] == checked.event_id
        assert "stale" == await code_of(gateway, posted(), timedelta(hours=27))


async def test_a_time_that_is_none_is_refused(gateway: Gateway) -> None:
    """Whoever signed it."""
    assert "bad-signature" == await code_of(gateway, posted(notify_time="soon"))


async def test_an_id_that_cannot_be_kept_is_replaced(gateway: Gateway) -> None:
    """By what stands in the callback: the same one again is the same."""
    one, same = [
        (await gateway.check_callback({}, posted(notify_id="<x>"), NOW)).event_id for _ in "ab"
    ]
    other = await gateway.check_callback({}, posted(notify_id="<y>"), NOW)
    assert one == same
    assert one.startswith("sha256-")
    assert one != other.event_id


async def test_several_keys_are_believed_while_they_change() -> None:
    """Each of them, and none that is not in the list."""
    keys = (strangers().alipay.public_key(), sandbox().alipay.public_key())
    credentials = credentials_for(sandbox(), public_keys=keys)
    async with open_gateway("http://h", credentials=credentials) as gateway:
        await gateway.check_callback({}, posted(), NOW)
        await gateway.check_callback({}, posted_by(strangers(), "sign_type"), NOW)


def test_alipay_is_answered_with_seven_letters(gateway: Gateway) -> None:
    """Anything else has it repeat for a day."""
    answer = gateway.callback_answer
    assert (200, b"success", "text/plain") == (answer.status, answer.body, answer.content_type)


@pytest.mark.parametrize(
    ("changed", "outcome", "refunded"),
    [
        ({}, Outcome.SUCCEEDED, 0),
        ({"trade_status": "TRADE_FINISHED"}, Outcome.SUCCEEDED, 0),
        ({"trade_status": "WAIT_BUYER_PAY", "gmt_payment": ""}, Outcome.PENDING, 0),
        ({"trade_status": "TRADE_CLOSED", "gmt_payment": ""}, Outcome.CLOSED, 0),
        ({"trade_status": "TRADE_CLOSED", "refund_fee": "19.99"}, Outcome.SUCCEEDED, 1999),
        ({"refund_fee": "5.00", "gmt_refund": "2026-01-31 16:00:00"}, Outcome.SUCCEEDED, 500),
    ],
)
def test_a_callback_is_a_hint(
    gateway: Gateway, changed: dict[str, str], outcome: Outcome, refunded: int
) -> None:
    """Alipay repeats it for a day, when all may be otherwise: the query tells."""
    word = gateway.read_callback({}, posted(**changed))
    assert isinstance(word, ChargeWord)
    assert not word.authoritative
    assert ("p_1", outcome, 1999, "CNY", FORM["trade_no"], refunded) == (
        word.payment_id,
        word.report.outcome,
        word.report.amount,
        word.report.currency,
        word.report.gateway_ref,
        word.report.refunded,
    )


@pytest.mark.parametrize(
    ("number", "named"),
    [(number_of(refund_id("p_1")), refund_id("p_1")), ("退款 1", "退款 1")],
)
def test_a_refund_is_told_as_a_trade_s_callback(gateway: Gateway, number: str, named: str) -> None:
    """Ours, or one that was made at Alipay: a hint as well."""
    told = {"refund_fee": "19.99", "gmt_refund": "2026-01-31 16:00:00", "out_biz_no": number}
    word = gateway.read_callback({}, posted(**told))
    assert isinstance(word, RefundWord)
    assert ("p_1", named, RefundOutcome.SUCCEEDED, False) == (
        word.payment_id,
        word.refund_id,
        word.report.outcome,
        word.authoritative,
    )


def test_a_hashed_number_leads_back_by_the_body(gateway: Gateway) -> None:
    """Which must be that of this number."""
    payment_id = "a." * 32
    number = number_of(payment_id)
    word = gateway.read_callback({}, posted(out_trade_no=number, body=payment_id))
    assert payment_id == word.payment_id
    with pytest.raises(InvalidField, match="out_trade_no"):
        gateway.read_callback({}, posted(out_trade_no=number, body="b." * 32))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"out_trade_no": ""}, "out_trade_no"),
        ({"out_trade_no": "0719-1"}, "out_trade_no"),
        ({"trade_status": "TRADE_MAYBE"}, "trade_status"),
        ({"trade_status": ""}, "trade_status"),
        ({"trade_no": "\x1b"}, "trade_no"),
        ({"total_amount": "0.00"}, "total_amount"),
        ({"total_amount": "1.999"}, "amount"),
        ({"refund_fee": "much"}, "amount"),
        ({"gmt_refund": "x", "out_biz_no": "y" * 65}, "out_biz_no"),
    ],
    ids=str,
)
def test_what_cannot_be_read_names_its_field(
    gateway: Gateway, changed: dict[str, str], field: str
) -> None:
    """It stays in the inbox as nonsense."""
    with pytest.raises(InvalidField) as caught:
        gateway.read_callback({}, posted(**changed))
    assert field == caught.value.field


@HYPOTHESIS
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
async def test_a_stranger_s_bytes_raise_nothing_else(gateway: Gateway, body: bytes) -> None:
    """BadCallback to check, InvalidField to read."""
    with pytest.raises(BadCallback):
        await gateway.check_callback({}, body, NOW)
    with pytest.raises(InvalidField):
        gateway.read_callback({}, body)


@HYPOTHESIS
@given(st.dictionaries(st.sampled_from(sorted(FORM)), st.text(max_size=90)))
def test_signed_nonsense_raises_nothing_else(gateway: Gateway, changed: dict[str, str]) -> None:
    """A word, or InvalidField."""
    try:
        word = gateway.read_callback({}, urlencode({**FORM, **changed}, errors="replace").encode())
    except InvalidField:
        return
    assert not word.authoritative


def test_a_large_form_is_refused_quickly(gateway: Gateway) -> None:
    """64 KiB of fields."""
    with pytest.raises(InvalidField):
        gateway.read_callback({}, b"&".join([b"a=" + os.urandom(4).hex().encode()] * 6_000))


async def test_what_the_mock_posts_is_taken() -> None:
    """Paid, and sent back."""
    async with open_desk() as desk:
        await desk.gateway.create(CHARGE_SOON)
        desk.pay()
        charge = desk.mock.books.charges["p-1"]
        refund, _ = desk.mock.books.refund("rf_1", "p-1", 1999, "r", desk.mock.clock())
        paid = desk.mock.charge_letter(charge, desk.mock.clock())
        sent_back = desk.mock.refund_letter(charge, refund)
        for letter, kind in ((paid, ChargeWord), (sent_back, RefundWord)):
            assert letter is not None
            await desk.gateway.check_callback(letter.headers(0), letter.content, NOW)
            assert isinstance(desk.gateway.read_callback({}, letter.content), kind)
            answer = desk.gateway.callback_answer
            assert letter.is_taken(answer.status, answer.body)
            assert not letter.is_taken(200, b"SUCCESS")
            assert not letter.is_taken(200, b'"success"')
