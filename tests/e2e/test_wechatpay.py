"""WeChat Pay's own ways in a whole payonce: keys that change, probes, refunds that go astray."""

from typing import Any

import pytest

from gateway_mock.books import Charge
from gateway_mock.callbacks import Letter
from gateway_mock.shopper import parse_script
from gateway_mock.wechatpay import WechatPayMock
from tests.e2e.test_kinds import NAME, SLOW_LADDER, Place, Stand, place, stand_of
from tests.support.caller import counted, post, url_of
from tests.support.kinds import KINDS
from tests.support.shop import Answered
from tests.support.town import FAST_LADDER
from tests.support.waiting import eventually

__all__ = ["place"]

WECHATPAY = KINDS["wechatpay"]


def mock_of(stand: Stand) -> WechatPayMock:
    """Return the mock as what it is."""
    assert isinstance(stand.mock, WechatPayMock)
    return stand.mock


def charge_of(stand: Stand, answer: Answered) -> Charge:
    """Return the charge of what was applied for."""
    return stand.mock.books.charges[answer.body["payment_id"]]


def letter_of(stand: Stand, answer: Answered) -> Letter:
    """Return the callback of a payment that is paid, without its being sent."""
    charge = charge_of(stand, answer)
    charge.paid_at = stand.mock.clock()
    letter = stand.mock.charge_letter(charge, charge.paid_at)
    assert letter is not None
    return letter


async def kept(stand: Stand) -> int:
    """Return how many callbacks were kept."""
    return await stand.town.count("SELECT count(*) FROM webhook_inbox")


async def test_a_certificate_that_nobody_configured_is_fetched(place: Place) -> None:
    """The keys turn while a code is shown: its callback settles all the same."""
    async with stand_of(WECHATPAY, place, SLOW_LADDER) as stand:
        answer = await stand.apply()
        mock_of(stand).sandbox.rotate()
        stand.pay(answer)
        found = await eventually(stand.settled_by, 30, "the callback settles")
        series = f'call="certificates",gateway="{NAME}",outcome="2xx"'
        asked = f"payonce_gateway_seconds_count{{{series}}}"
        assert 1 == await counted(stand.worker, asked)
    assert (answer.body["payment_id"], "webhook") == found


async def test_a_key_that_is_not_to_be_had_is_answered_with_503(place: Place) -> None:
    """So that the callback comes again; a poll settles meanwhile."""
    async with stand_of(WECHATPAY, place, FAST_LADDER) as stand:
        letter = letter_of(stand, answer := await stand.apply())
        headers = dict(letter.headers(int(stand.mock.clock()))) | {"Wechatpay-Serial": "AB12CD34"}
        status, problem = await post(url_of(stand.worker, NAME), letter.content, headers)
        assert (503, "/problems/unavailable") == (status, problem["type"])
        probed = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/AAAA"}
        status, problem = await post(url_of(stand.worker, NAME), letter.content, probed)
        assert (401, "/problems/bad-signature") == (status, problem["type"])
        found = await eventually(stand.settled_by, 30, "the poll settles")
        assert 0 == await kept(stand)
    assert (answer.body["payment_id"], "poll") == found


async def test_old_and_altered_callbacks_change_nothing(place: Place) -> None:
    """Refused, whichever part is not as it was."""
    async with stand_of(WECHATPAY, place, SLOW_LADDER) as stand:
        letter = letter_of(stand, await stand.apply())
        now = int(stand.mock.clock())
        good = dict(letter.headers(now))
        forged: list[tuple[bytes, dict[str, str]]] = [
            (letter.content.replace(b"EV-", b"EW-"), good),
            (letter.content, {}),
            (letter.content, dict.fromkeys(good, "")),
            (letter.content, dict(letter.headers(now - 310))),
            (letter.content, dict(letter.headers(now + 600))),
        ]
        for body, headers in forged:
            assert 401 == (await post(url_of(stand.worker, NAME), body, headers))[0]
        assert 0 == await kept(stand)
        assert await stand.settled_by() is None


async def test_a_probe_gets_its_refusal(place: Place) -> None:
    """WeChat Pay tries whether signatures are checked, and goes away content."""
    async with stand_of(WECHATPAY, place, SLOW_LADDER) as stand:
        payment_id = (await stand.apply()).body["payment_id"]
        url = stand.worker._env[f"PAYONCE_GATEWAYS__{NAME.upper()}__BASE_URL"]
        await post(f"{url}/control/probes/{payment_id}", b"", {})
        await eventually(lambda: stand.mock.callbacks.sent == 1)
        assert 0 == await kept(stand)


async def pay_both(stand: Stand, script: dict[str, Any], *answers: Answered) -> Charge:
    """Have both payments paid, and return the charge that is not kept."""
    for answer in answers:
        charge = charge_of(stand, answer)
        charge.script = parse_script({"pays_after_s": 0, "pays_though_closed": True, **script})
        stand.mock.plan_callback(charge, 0.0)
    found = await eventually(stand.settled_by, 30, "one of them settles")
    assert found is not None
    (other,) = {one.body["payment_id"] for one in answers} - {found[0]}
    assert 0 == stand.mock.books.charges[found[0]].refunded
    return stand.mock.books.charges[other]


async def refund_is(stand: Stand, payment_id: str, status: str) -> bool:
    """Say whether a payment's refund stands so."""
    rows = await stand.town.rows("SELECT status FROM refunds WHERE payment_id = $1", payment_id)
    return [status] == [row["status"] for row in rows]


async def test_a_204_that_lies_costs_nobody_money(place: Place) -> None:
    """The earlier code is closed, is paid all the same, and the later one too: one is kept."""
    async with stand_of(WECHATPAY, place, FAST_LADDER) as stand:
        first = await stand.apply(closes="lies", callbacks="lost")
        second = await stand.apply()
        assert first.body["payment_id"] != second.body["payment_id"]
        other = await pay_both(stand, {}, first, second)
        await eventually(lambda: refund_is(stand, other.payment_id, "SUCCEEDED"), 30)
    assert 1999 == stand.mock.books.balance(stand.mock.clock())["kept"]


@pytest.mark.parametrize(
    ("become", "status", "words"),
    [("abnormal", "FAILED", "merchant platform"), ("succeeded", "SUCCEEDED", "")],
)
async def test_a_refund_under_way_comes_to_its_end(
    place: Place, become: str, status: str, words: str
) -> None:
    """An abnormal one says what a person has to do."""
    async with stand_of(WECHATPAY, place, FAST_LADDER, policy="allow") as stand:
        going = {"refunds": "pending", "refunds_turn": become, "refunds_turn_after_s": 1}
        other = await pay_both(stand, going, await stand.apply(), await stand.apply())
        await eventually(lambda: refund_is(stand, other.payment_id, status), 30)
        _, out, _ = await stand.town.payonce("show", "o-1")
        assert words in out
    assert 1999 == other.refunded
