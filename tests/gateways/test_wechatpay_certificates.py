"""The platform's certificates change while payonce runs: which are fetched, and which believed."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway_mock.wechatpay_keys import PlatformKey
from payonce.domain.errors import Unavailable
from payonce.domain.report import Outcome
from tests.gateways.rigs import CHARGE, NEW_CHARGE, always, hostile
from tests.gateways.wechatpay_rigs import (
    KEY,
    MADE,
    NOW,
    PAID,
    Rig,
    open_rig,
    signed,
    signed_answer,
)
from tests.support.wechatpay import other_certificate

YEAR = timedelta(days=365)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The adapter before its mock."""
    async with open_rig() as opened:
        yield opened


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


async def test_a_certificate_that_has_run_out_proves_nothing() -> None:
    """Neither one that was fetched while it held, nor one that is handed out still."""
    async with open_rig(known=[]) as rig:
        assert await rig.gateway.check_callback(signed(), PAID, NOW)
        rig.clock.ahead_s = timedelta(days=20 * 365).total_seconds()
        with pytest.raises(Unavailable, match="is not known"):
            await rig.gateway.check_callback(signed(), PAID, NOW)
        assert 2 == rig.asked("certificates")
        assert Outcome.UNKNOWN is (await rig.gateway.query(CHARGE)).outcome


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


async def test_a_certificate_of_another_kind_of_key_is_left_alone() -> None:
    """The one beside it is believed; a curve that nobody here knows (SM2) breaks nothing."""
    stranger = other_certificate()
    listed = certificates(replace(stranger, pem=sm2_certificate()), stranger)
    raw = signed_answer(KEY, listed)
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        assert await rig.gateway.check_callback(signed(key=stranger), PAID, NOW)


def sm2_certificate() -> str:
    """Return a certificate of P-256 that calls its curve SM2, whose name is as long."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + YEAR)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    p256, sm2 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
    told = base64.encodebytes(der.replace(p256, sm2)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{told}-----END CERTIFICATE-----\n"


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
