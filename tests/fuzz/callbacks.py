"""Callbacks of all kinds: well signed with any content, and signed for something else."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from hypothesis import assume
from hypothesis import strategies as st

from gateway_mock.alipay_keys import joined
from payonce.domain.errors import BadCallback, InvalidField, Unavailable
from payonce.domain.ids import check_id
from payonce.domain.report import Outcome
from payonce.domain.signature import sign, signing_key
from payonce.gateways.alipay_signature import read_form
from payonce.ports.gateway import CallbackWord, ChargeWord
from tests.fuzz.gateways import CAPTURED, KINDS, check_report
from tests.fuzz.mutating import changed, hostile, spoiled
from tests.fuzz.targets import target
from tests.gateways import alipay_rigs, stripe_rigs, wechatpay_rigs
from tests.gateways.rigs import SECRET, charge_json, refund_json
from tests.support import alipay

MADE = wechatpay_rigs.MADE


def _stripe_headers(body: bytes) -> dict[str, str]:
    now = int(time.time())
    key = stripe_rigs.SIGNING.encode()
    proof = hmac.new(key, b"%d." % now + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={now},v1={proof}"}


def _http_headers(body: bytes) -> dict[str, str]:
    return sign(signing_key(SECRET), "msg_1", int(time.time()), body)


def _wechatpay_headers(body: bytes) -> dict[str, str]:
    return wechatpay_rigs.KEY.sign(body, int(time.time()))


@dataclass(frozen=True)
class Sender:
    """How one kind's callbacks look: bodies by a strategy, and the headers that prove them."""

    bodies: st.SearchStrategy[bytes]
    headers: Callable[[bytes], Mapping[str, str]]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def _sealed(content: bytes) -> bytes:
    return wechatpay_rigs.letter(MADE, content)


def _sealed_refund(content: bytes) -> bytes:
    return wechatpay_rigs.letter(MADE, content, "refund")


def _form(fields: Any) -> bytes:
    told = {str(name): _text(value) for name, value in dict(fields).items()}
    told = {name: value for name, value in told.items() if value}
    signature = alipay.sandbox().sign(joined(told, "sign_type"))
    return urlencode({**told, "sign": signature}).encode()


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()


def _events(told: Any, kind: str) -> st.SearchStrategy[bytes]:
    return hostile({"id": "evt_1", "object": "event", "type": kind, "data": {"object": told}})


SENDERS: dict[str, Sender] = {
    "http": Sender(
        hostile({"type": "charge", "data": charge_json()})
        | hostile({"type": "refund", "data": refund_json()}),
        _http_headers,
    ),
    "stripe": Sender(
        _events(stripe_rigs.session_object(), "checkout.session.completed")
        | _events(stripe_rigs.intent_object(), "payment_intent.succeeded")
        | _events(stripe_rigs.refund_object(), "refund.updated"),
        _stripe_headers,
    ),
    "wechatpay": Sender(
        hostile(wechatpay_rigs.order(MADE)).map(_sealed)
        | hostile(wechatpay_rigs.refund(refund_status="SUCCESS")).map(_sealed_refund)
        | hostile(json.loads(wechatpay_rigs.PAID)),
        _wechatpay_headers,
    ),
    "alipay": Sender(
        changed(dict(alipay_rigs.FORM)).filter(lambda one: isinstance(one, dict)).map(_form)
        | spoiled(alipay_rigs.posted()),
        lambda _: {},
        lambda: alipay_rigs.NOW,
    ),
}
PAYPAL = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"}

letters = st.sampled_from(sorted(SENDERS)).flatmap(
    lambda name: st.tuples(st.just(name), SENDERS[name].bodies)
)


def _check_word(word: CallbackWord) -> None:
    check_id(word.payment_id, "payment_id")
    if isinstance(word, ChargeWord):
        if word.authoritative:
            assert Outcome.SUCCEEDED is word.report.outcome
            check_report(word.report)
    else:
        assert word.report.reason.isprintable()
        assert 1 <= len(word.refund_id) <= 255
        assert word.refund_id.isprintable()


@target(letter=letters)
def signed(letter: tuple[str, bytes]) -> None:
    """What is well signed is a word that can be used, or is not understood."""
    name, body = letter
    sender, gateway = SENDERS[name], KINDS[name].gateway
    with suppress(BadCallback, Unavailable):
        checked = asyncio.run(gateway.check_callback(sender.headers(body), body, sender.now()))
        assert checked.event_id.isprintable()
        assert 1 <= len(checked.event_id) <= 255
        with suppress(InvalidField):
            _check_word(gateway.read_callback(checked.headers, body))


@target(
    event=hostile({**PAYPAL, "resource": CAPTURED["purchase_units"][0]})
    | hostile({**PAYPAL, "event_type": "CHECKOUT.ORDER.APPROVED", "resource": CAPTURED})
    | hostile(
        {**PAYPAL, "event_type": "PAYMENT.CAPTURE.REFUNDED", "resource": {"custom_id": "rf-1,-p-1"}}
    )
)
def hints(event: bytes) -> None:
    """PayPal's events are read as hints, whatever stands in them."""
    with suppress(InvalidField):
        word = KINDS["paypal"].gateway.read_callback({}, event)
        assert not word.authoritative
        _check_word(word)


@target(letter=letters, other=letters, at=st.integers(0, 400))
def forged(letter: tuple[str, bytes], other: tuple[str, bytes], at: int) -> None:
    """A signature is over one body: over another one, or with a sign changed, it proves nothing."""
    name, body = letter
    sender, gateway = SENDERS[name], KINDS[name].gateway
    if name == "alipay":
        position = at % len(body)
        presented = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        assume(not _same_form(body, presented))
    else:
        presented = other[1]
        assume(presented != body)
    try:
        asyncio.run(gateway.check_callback(sender.headers(body), presented, sender.now()))
    except (BadCallback, Unavailable):
        return
    raise AssertionError(f"{name} took {presented!r} for {body!r}")


def _same_form(one: bytes, other: bytes) -> bool:
    try:
        first, second = dict(read_form(one)), dict(read_form(other))
    except BadCallback:
        return False
    # Neither takes part in what is signed: what is empty, and how it is signed.
    for form in (first, second):
        form.pop("sign_type", None)
    return {name: value for name, value in first.items() if value} == {
        name: value for name, value in second.items() if value
    }
