"""WeChat Pay's signatures and seals, by vectors of others and by another tool."""

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payonce.domain.errors import BadCallback
from payonce.gateways.rsa import is_signed
from payonce.gateways.wechatpay_keys import Mark, Sealed, Signer, mark_of, unseal
from payonce.settings.kinds import pem
from tests.support.wechatpay import credentials_for, sandbox

VECTORS = Path(__file__).parents[1] / "vectors" / "wechatpay"
CERTIFICATE = (VECTORS / "platform_certificate.pem").read_text()
KNOWN: dict[str, Any] = json.loads((VECTORS / "vectors.json").read_text())
AT_S = 1_554_208_460
BODY = b'{"amount":{"total":1}}'


def test_the_official_library_s_signature_holds() -> None:
    """Under its certificate, over its message, and no other."""
    key, serial = pem.public_key("key", CERTIFICATE)
    assert KNOWN["serial"] == serial
    assert is_signed(key, KNOWN["message"].encode(), KNOWN["signature"])
    assert not is_signed(key, b"wrong source", KNOWN["signature"])
    assert not is_signed(key, KNOWN["message"].encode(), KNOWN["signature"][:-4] + "AA==")


def test_the_official_library_s_seal_opens() -> None:
    """With its key, nonce and associated data; with none of them changed."""
    given = KNOWN["sealed"]
    sealed = Sealed(given["ciphertext"], given["nonce"], given["associated_data"])
    key = given["key"].encode()
    assert given["plaintext"].encode() == unseal(key, sealed)
    assert unseal(b"x" * 16, sealed) is None
    for name in ("ciphertext", "nonce", "associated_data"):
        value = getattr(sealed, name)
        changed = Sealed(given["ciphertext"], given["nonce"], given["associated_data"])
        setattr(changed, name, ("B" if value[0] != "B" else "C") + value[1:])
        assert unseal(key, changed) is None, name


@pytest.mark.parametrize("ciphertext", ["", "!", "QUJD", "é", "A" * 5])
def test_what_is_no_seal_opens_not(ciphertext: str) -> None:
    """It never raises."""
    assert unseal(b"x" * 32, Sealed(ciphertext, "wCq51qZv4Yfg")) is None
    assert unseal(b"x" * 32, Sealed("QUJD" * 10, "")) is None


def _authorization(method: str, path: str, body: bytes) -> dict[str, str]:
    signer = Signer(credentials_for(sandbox()), lambda: AT_S + 0.9)
    header = signer.authorization(method, path, body)
    scheme, _, rest = header.partition(" ")
    assert "WECHATPAY2-SHA256-RSA2048" == scheme
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', rest))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v3/pay/transactions/native", BODY),
        ("GET", "/v3/pay/transactions/out-trade-no/a%7Cb?mchid=1900000001", b""),
        ("GET", "/v3/certificates", b""),
    ],
)
def test_openssl_takes_what_we_sign(tmp_path: Path, method: str, path: str, body: bytes) -> None:
    """The five lines of the documentation, the last one empty where there is no body."""
    parts = _authorization(method, path, body)
    made = sandbox()
    assert (made.mchid, made.serial, str(AT_S)) == (
        parts["mchid"],
        parts["serial_no"],
        parts["timestamp"],
    )
    assert re.fullmatch("[0-9A-F]{32}", parts["nonce_str"])
    lines = f"{method}\n{path}\n{AT_S}\n{parts['nonce_str']}\n".encode() + body + b"\n"
    assert _is_taken(tmp_path, lines, parts["signature"])
    assert not _is_taken(tmp_path, lines + b"\n", parts["signature"])


def _is_taken(folder: Path, message: bytes, signature: str) -> bool:
    """Ask the openssl of the command line."""
    (folder / "key.pem").write_text(sandbox().merchant_pem)
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(base64.b64decode(signature))
    command = ["openssl", "dgst", "-sha256", "-prverify", "key.pem", "-signature", "signature"]
    ended = subprocess.run(
        [*command, "message"], cwd=folder, capture_output=True, check=False, timeout=20
    )
    return ended.returncode == 0


def test_no_nonce_comes_twice() -> None:
    """Each request has its own."""
    nonces = {_authorization("GET", "/", b"")["nonce_str"] for _ in range(50)}
    assert 50 == len(nonces)


def _mark() -> Mark:
    key = sandbox().certificates[0]
    signed = {name.lower(): value for name, value in key.sign(BODY, AT_S).items()}
    return mark_of(signed)


def test_a_mark_holds_for_its_body_time_and_nonce_alone() -> None:
    """Any part changed, and it is not the platform's."""
    key = sandbox().certificates[0].private.public_key()
    mark = _mark()
    assert mark.is_by(key, BODY)
    assert not mark.is_by(key, BODY + b" ")
    assert not mark.is_by(sandbox().public_key.private.public_key(), BODY)
    assert not replace(mark, nonce=mark.nonce[::-1] + "x").is_by(key, BODY)
    assert not replace(mark, timestamp=str(AT_S + 1)).is_by(key, BODY)
    assert not replace(mark, signature="QUJD").is_by(key, BODY)


@pytest.mark.parametrize(
    ("off_s", "code"), [(0, ""), (300, ""), (-300, ""), (301, "stale"), (-301, "early")]
)
def test_five_minutes_are_allowed_in_both_directions(off_s: int, code: str) -> None:
    """And not a second more."""
    if not code:
        _mark().check_age(AT_S + off_s)
        return
    with pytest.raises(BadCallback) as caught:
        _mark().check_age(AT_S + off_s)
    assert code == caught.value.code
