"""WeChat Pay's own ways in a whole payonce: keys that change, probes, refunds that go astray."""

from dataclasses import replace
from typing import Any

import pytest

from gateway_mock.shopper import parse_script
from gateway_mock.wechatpay import WechatPayMock
from tests.e2e.test_kinds import NAME, SLOW, Branch, opened
from tests.support.caller import counted, post, url_of
from tests.support.kinds import KINDS
from tests.support.town import Town
from tests.support.waiting import eventually

WECHATPAY = KINDS["wechatpay"]


def mock_of(branch: Branch) -> WechatPayMock:
    """Return the mock as what it is."""
    assert isinstance(branch.mock, WechatPayMock)
    return branch.mock


async def test_a_certificate_that_nobody_configured_is_fetched(town: Town) -> None:
    """The keys turn while a code is shown: its callback settles all the same."""
    async with opened(town, WECHATPAY, PAYONCE_POLL__LADDER=SLOW) as branch:
        payment_id = await branch.apply()
        mock_of(branch).sandbox.rotate()
        branch.pay(payment_id)
        await eventually(lambda: branch.is_paid_by(payment_id), 20)
        assert ["webhook"] == await branch.sources()
        asked = (
            f'payonce_gateway_seconds_count{{call="certificates",gateway="{NAME}",outcome="2xx"}}'
        )
        assert 1 == await counted(branch.worker, asked)


async def test_a_key_that_is_not_to_be_had_is_answered_with_503(town: Town) -> None:
    """So that the callback comes again; a poll settles meanwhile."""
    async with opened(town, WECHATPAY, PAYONCE_GATEWAYS__SHOPGATE__PUBLIC_KEYS="{}") as branch:
        payment_id, mock = await branch.apply(), mock_of(branch)
        branch.charge(payment_id).paid_at = mock.clock()
        await eventually(lambda: branch.is_paid_by(payment_id), 20)
        mock.sandbox.signs_by_public_key = True
        letter = mock.charge_letter(branch.charge(payment_id), mock.clock())
        assert letter is not None
        headers = dict(letter.headers(int(mock.clock())))
        status, problem = await post(url_of(branch.worker, NAME), letter.content, headers)
        assert (503, "/problems/unavailable") == (status, problem["type"])
        probed = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/AAAA"}
        status, problem = await post(url_of(branch.worker, NAME), letter.content, probed)
        assert (401, "/problems/bad-signature") == (status, problem["type"])
        assert 0 == await town.count("SELECT count(*) FROM webhook_inbox")


async def test_a_probe_gets_its_refusal(town: Town) -> None:
    """WeChat Pay tries whether signatures are checked, and goes away content."""
    async with opened(town, WECHATPAY) as branch:
        payment_id = await branch.apply()
        await post(f"{_url(branch)}/control/probes/{payment_id}", b"", {})
        await eventually(lambda: branch.mock.callbacks.sent == 1)
        assert 0 == await town.count("SELECT count(*) FROM webhook_inbox")


@pytest.mark.parametrize(
    ("become", "status", "words"),
    [("abnormal", "FAILED", "merchant platform"), ("succeeded", "SUCCEEDED", "")],
)
async def test_a_refund_under_way_comes_to_its_end(
    town: Town, become: str, status: str, words: str
) -> None:
    """An abnormal one says what a person has to do."""
    kind = replace(WECHATPAY, refund_ends=status)
    async with opened(town, kind, PAYONCE_ON_SECOND_PAYMENT__POLICY="allow") as branch:
        payments = {await branch.apply(), await branch.apply()}
        going = {"refunds": "pending", "refunds_turn": become, "refunds_turn_after_s": 1}
        for payment_id in payments:
            script: dict[str, Any] = {"pays_after_s": 0, **going}
            branch.charge(payment_id).script = parse_script(script)
            branch.mock.plan_callback(branch.charge(payment_id), 0.0)
        settled = await branch.settled_by()
        refund = await branch.refund_of((payments - {settled}).pop())
        assert (status, 1) == (refund["status"], refund["attempts"])
        _, out, _ = await town.payonce("show", "o-1")
        assert words in out
    assert 0 == branch.charge(settled).refunded


def _url(branch: Branch) -> str:
    return branch.worker._env[f"PAYONCE_GATEWAYS__{NAME.upper()}__BASE_URL"]
