"""WeChat Pay's callbacks: proven on the raw bytes, read afterwards; its keys come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_mock.wechatpay_keys import PlatformKey
from payonce.domain.errors import BadCallback, Unavailable
from payonce.domain.report import Outcome
from tests.gateways.rigs import CHARGE, NEW_CHARGE, always, hostile
from tests.gateways.wechatpay_rigs import (
    NOW,
    Rig,
    letter,
    open_rig,
    order,
    signed_answer,
)
from tests.support.wechatpay import other_certificate, sandbox

MADE = sandbox()
KEY = MADE.certificates[0]
PAID = letter(MADE, order(MADE))
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


def signed(body: bytes = PAID, key: PlatformKey = KEY) -> dict[str, str]:
    """Return the headers of a callback that is sent NOW."""
    return key.sign(body, int(NOW.timestamp()))


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


async def test_a_new_certificate_is_fetched_and_believed(rig: Rig) -> None:
    """Once, for many callbacks at the same time; the old one holds still."""
    fresh = rig.mock.sandbox.rotate()
    headers = signed(key=fresh)
    checks = [rig.gateway.check_callback(headers, PAID, NOW) for _ in range(20)]
    assert {"EV-1"} == {one.event_id for one in await asyncio.gather(*checks)}
    assert await rig.gateway.check_callback(signed(), PAID, NOW)
    assert 1 == rig.asked("certificates")


async def test_answers_by_a_new_certificate_are_believed_too() -> None:
    """Without a callback having come before."""
    async with open_rig(known=[KEY]) as rig:
        rig.mock.sandbox.rotate()
        await rig.gateway.create(NEW_CHARGE)
        assert Outcome.PENDING is (await rig.gateway.query(CHARGE)).outcome
        assert 1 == rig.asked("certificates")


async def test_without_a_configured_key_certificates_are_fetched() -> None:
    """Sealed with the APIv3 key, they need no other proof."""
    async with open_rig(known=[]) as rig:
        assert (await rig.gateway.create(NEW_CHARGE)).qr
        assert await rig.gateway.check_callback(signed(), PAID, NOW)
        assert 1 == rig.asked("certificates")


async def test_an_unknown_key_shall_come_again_and_is_asked_for_once_a_minute(rig: Rig) -> None:
    """A stranger may name any serial: that costs a call a minute and no more."""
    headers = signed(key=other_certificate())
    for _ in range(5):
        with pytest.raises(Unavailable, match="is not known"):
            await rig.gateway.check_callback(headers, PAID, NOW)
    assert 1 == rig.asked("certificates")
    rig.clock.ahead_s = 59
    with pytest.raises(Unavailable):
        await rig.gateway.check_callback(headers, PAID, NOW)
    assert 1 == rig.asked("certificates")
    rig.clock.ahead_s = 61
    rig.mock.sandbox.certificates.append(other_certificate())
    assert await rig.gateway.check_callback(headers, PAID, NOW)
    assert 2 == rig.asked("certificates")


async def test_known_keys_are_taken_while_another_is_asked_for() -> None:
    """Certificates that do not come hold up nobody else."""
    begun = asyncio.Event()

    async def hang(_request: Any, _writer: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with hostile(hang) as server, open_rig(server.url) as rig:
        unknown = rig.gateway.check_callback(signed(key=other_certificate()), PAID, NOW)
        waiting = asyncio.create_task(unknown)
        await begun.wait()
        assert await rig.gateway.check_callback(signed(), PAID, NOW)
        assert not waiting.done()
        with pytest.raises(Unavailable):
            await waiting


def certificates(*keys: PlatformKey, names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return an answer that hands out these certificates."""
    return {
        "data": [
            {
                "serial_no": (names or {}).get(one.number, one.number),
                "encrypt_certificate": MADE.seal(one.pem.encode(), "certificate", ""),
            }
            for one in keys
        ]
    }


STRANGER = other_certificate()
SEALED_BY_ANOTHER = {
    "data": [
        {
            "serial_no": STRANGER.number,
            "encrypt_certificate": replace(MADE, api_v3_key="x" * 32).seal(
                STRANGER.pem.encode(), "certificate", ""
            ),
        }
    ]
}
FORGED: dict[str, Callable[[], bytes]] = {
    "signed by nobody known": lambda: signed_answer(
        replace(STRANGER, number="ABCDEF12"), certificates(STRANGER)
    ),
    "sealed by another": lambda: signed_answer(KEY, SEALED_BY_ANOTHER),
    "under another serial": lambda: signed_answer(
        KEY, certificates(STRANGER, names={STRANGER.number: "AB"})
    ),
    "not certificates": lambda: signed_answer(KEY, {"data": [{"serial_no": 1}]}),
    "sealed and signed by another": lambda: signed_answer(STRANGER, SEALED_BY_ANOTHER),
    "an error": lambda: signed_answer(KEY, {"code": "SYSTEM_ERROR"}, 500),
}


@pytest.mark.parametrize("name", FORGED)
async def test_certificates_that_are_not_proven_are_not_believed(name: str) -> None:
    """Neither without the seal, nor without a signature, nor under another's name."""
    async with hostile(always(FORGED[name]())) as server, open_rig(server.url) as rig:
        with pytest.raises(Unavailable):
            await rig.gateway.check_callback(signed(key=STRANGER), PAID, NOW)
        assert await rig.gateway.check_callback(signed(), PAID, NOW)


async def test_certificates_need_no_other_proof_than_the_seal_and_themselves() -> None:
    """The first ones of a merchant are signed by one of them."""
    raw = signed_answer(STRANGER, certificates(STRANGER, KEY))
    async with hostile(always(raw)) as server, open_rig(server.url, known=[]) as rig:
        assert await rig.gateway.check_callback(signed(key=STRANGER), PAID, NOW)
