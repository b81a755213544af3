"""A gateway that answers about somebody else's money, or packs its answer."""

import gzip
import json

import pytest

from payonce.domain.report import Outcome
from payonce.gateways.client import MAX_ANSWER_BYTES
from payonce.ports.gateway import ChargeRef
from tests.gateways import wechatpay_rigs
from tests.gateways.rigs import CHARGE, always, answer, asking, charge_json, hostile
from tests.gateways.stripe_rigs import CREDENTIALS, intent_object, session_object
from tests.support.wechatpay import other_certificate


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("cs_test_1", session_object(id="cs_test_2", metadata=None)),
        ("pi_1", intent_object(id="pi_2", metadata=None)),
        ("pi_1", session_object(metadata=None)),
    ],
)
async def test_the_charge_that_was_not_asked_about_is_no_word(
    ref: str, told: dict[str, object]
) -> None:
    """Also where nothing in it names another payment: what the shop made itself has no metadata."""
    async with asking(always(answer(told)), credentials=CREDENTIALS) as (gateway, _):
        report = await gateway.query(ChargeRef("p-1", ref))
    assert (Outcome.UNKNOWN, "nonsense: id is another's") == (report.outcome, report.reason)


async def test_a_packed_answer_is_not_unpacked() -> None:
    """A megabyte of zeros packs into a kilobyte; what is packed is nonsense, and costs nothing."""
    told = json.dumps({**charge_json(), "padding": "0" * 16 * MAX_ANSWER_BYTES}).encode()
    packed = gzip.compress(told)
    assert len(packed) < MAX_ANSWER_BYTES < len(told)
    raw = answer(packed, headers={"Content-Encoding": "gzip"})
    async with asking(always(raw)) as (gateway, _):
        report = await gateway.query(CHARGE)
    assert Outcome.UNKNOWN is report.outcome
    assert report.reason.startswith("nonsense")


async def test_an_answer_that_somebody_else_signed_is_no_word() -> None:
    """WeChat Pay's answer that its key did not sign, whatever stands in it."""
    told = json.dumps(wechatpay_rigs.order(wechatpay_rigs.MADE)).encode()
    raw = wechatpay_rigs.signed_answer(other_certificate(), told)
    async with hostile(always(raw)) as server, wechatpay_rigs.open_rig(server.url) as rig:
        report = await rig.gateway.query(CHARGE)
    assert Outcome.UNKNOWN is report.outcome
