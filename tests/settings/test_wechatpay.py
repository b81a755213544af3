"""`kind = "wechatpay"`: what its keys take, and what is said of what they do not take."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from payonce.settings import GatewaySettings
from payonce.settings.kinds.wechatpay import WechatPayCredentials
from tests.settings.reading import read, refusal
from tests.support.wechatpay import environment_for, other_certificate, sandbox

MADE = sandbox()
CERTIFICATE = MADE.certificates[0]
EMPTY = "[gateways.wx]\n"
HIDDEN = "hunter2"


def variables(**changed: Any) -> dict[str, str]:
    """Return the variables of a merchant; None leaves one out."""
    found = {
        name.removeprefix("PAYONCE_"): value for name, value in environment_for(MADE, "WX").items()
    }
    for name, value in changed.items():
        key = f"GATEWAYS__WX__{name.upper()}"
        found.pop(key)
        if value is not None:
            found[key] = value
    return found


def gateway(folder: Path, **changed: Any) -> GatewaySettings:
    """Return the gateway that the variables describe."""
    return read(folder, EMPTY, **variables(**changed)).gateways["wx"]


def credentials(folder: Path, **changed: Any) -> WechatPayCredentials:
    """Return its credentials."""
    found = gateway(folder, **changed).credentials
    assert isinstance(found, WechatPayCredentials)
    return found


def test_all_that_a_merchant_needs_can_come_from_the_environment(tmp_path: Path) -> None:
    """With WeChat Pay's defaults: its address, its code's two hours, its limits."""
    found = gateway(tmp_path)
    assert ("wechatpay", "https://api.mch.weixin.qq.com", 600.0, 365) == (
        found.kind,
        found.base_url,
        found.rate_per_s,
        found.refund_key_window.days,
    )
    assert (7200.0, (3_000, 10_000, 30_000, 180_000)) == (
        found.terms.watch_for.total_seconds(),
        found.terms.ladder.waits_ms,
    )
    known = credentials(tmp_path)
    assert (MADE.mchid, MADE.appid, MADE.serial) == (known.mchid, known.appid, known.serial)
    assert {CERTIFICATE.number, MADE.public_key.number} == set(known.public_keys)


def test_keys_come_from_files_and_under_small_names(tmp_path: Path) -> None:
    """As container runtimes mount them; variables know no small letters."""
    (tmp_path / "merchant").write_text(MADE.merchant_pem)
    (tmp_path / "platform").write_text(CERTIFICATE.pem)
    name = f"GATEWAYS__WX__PUBLIC_KEYS__{CERTIFICATE.number}_FILE"
    found = read(
        tmp_path,
        EMPTY,
        **variables(private_key=None, public_keys=None),
        **{
            "GATEWAYS__WX__PRIVATE_KEY_FILE": str(tmp_path / "merchant"),
            name: str(tmp_path / "platform"),
        },
    )
    known = found.gateways["wx"].credentials
    assert isinstance(known, WechatPayCredentials)
    assert [CERTIFICATE.number] == list(known.public_keys)


def test_public_keys_may_be_left_out(tmp_path: Path) -> None:
    """Certificates are fetched then."""
    assert {} == dict(credentials(tmp_path, public_keys=None).public_keys)


def test_while_the_api_key_is_changed_there_are_two(tmp_path: Path) -> None:
    """A list, each of 32 bytes."""
    found = credentials(tmp_path, api_v3_key=json.dumps(["n" * 32, "o" * 32]))
    assert ["n" * 32, "o" * 32] == [one.reveal() for one in found.api_v3_keys]


def pem_of(key: Any, encryption: Any = None) -> str:
    """Return a private key in PEM."""
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return text.decode()


SMALL = rsa.generate_private_key(public_exponent=65_537, key_size=1024)
CURVE = ec.generate_private_key(ec.SECP256R1())
CURVE_PUBLIC = (
    CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
)


def as_sm2(pem: str) -> str:
    """Return a PEM of P-256 as one of SM2, whose name is as long: nothing here knows that curve."""
    first, *lines, last = pem.strip().splitlines()
    p256, sm2 = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d")
    told = base64.b64encode(base64.b64decode("".join(lines)).replace(p256, sm2)).decode()
    return f"{first}\n{told}\n{last}\n"


LOCKED = pem_of(MADE.merchant, BestAvailableEncryption(b"x"))
BROKEN = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"
OTHER = other_certificate()

SLIPS: list[tuple[str, str | None, str, str]] = [
    ("mchid", None, "mchid", "is missing"),
    ("mchid", "19x", "mchid", "is not of its shape"),
    ("appid", None, "appid", "is missing"),
    ("appid", "wx hunter2", "appid", "is not of its shape"),
    ("serial", None, "serial", "is missing"),
    ("serial", "hunter2", "serial", "is not of its shape"),
    ("serial", "AB", "serial", "is not of its shape"),
    ("serial", "A" * 41, "serial", "is not of its shape"),
    ("private_key", None, "private_key", "is missing"),
    ("private_key", HIDDEN, "private_key", "is not PEM"),
    ("private_key", "/run/secrets/hunter2.pem", "private_key", "is not PEM"),
    ("private_key", BROKEN, "private_key", "is not a private key in PEM"),
    ("private_key", CERTIFICATE.pem, "private_key", "is not a private key in PEM"),
    ("private_key", LOCKED, "private_key", "is encrypted"),
    ("private_key", pem_of(CURVE), "private_key", "is not an RSA key"),
    ("private_key", as_sm2(pem_of(CURVE)), "private_key", "is not an RSA key"),
    ("private_key", pem_of(SMALL), "private_key", "has 1024 bits"),
    ("private_key", BROKEN + "x" * 20_000, "private_key", "is too long"),
    ("api_v3_key", None, "api_v3_key", "is missing"),
    ("api_v3_key", HIDDEN, "api_v3_key", "has 7 bytes"),
    ("api_v3_key", "é" * 32, "api_v3_key", "has 64 bytes"),
    ("api_v3_key", "[]", "api_v3_key", "is empty"),
    ("api_v3_key", f'["{"x" * 32}", "{HIDDEN}"]', "api_v3_key", "has 7 bytes"),
    ("api_v3_key", "[1]", "api_v3_key", "is not text"),
    ("public_keys", HIDDEN, "public_keys", "is not a table"),
    ("public_keys", '{"AB12": "hunter2"}', "public_keys.AB12", "is not PEM"),
    (
        "public_keys",
        json.dumps({"AB12": BROKEN}),
        "public_keys.AB12",
        "is neither a certificate nor a public key",
    ),
    (
        "public_keys",
        json.dumps({"AB12": OTHER.pem}),
        "public_keys.AB12",
        f"holds the certificate {OTHER.number}",
    ),
    (
        "public_keys",
        json.dumps({"KEY_1": MADE.public_key.pem}),
        "public_keys.KEY_1",
        "is no name of a key",
    ),
    (
        "public_keys",
        json.dumps({"AB12": CURVE_PUBLIC}),
        "public_keys.AB12",
        "is not an RSA key",
    ),
    (
        "public_keys",
        json.dumps({"AB12": as_sm2(CURVE_PUBLIC)}),
        "public_keys.AB12",
        "is not an RSA key",
    ),
]


@pytest.mark.parametrize(("name", "value", "key", "problem"), SLIPS, ids=range(len(SLIPS)))
def test_a_slip_is_named_and_no_secret_told(
    tmp_path: Path, name: str, value: str | None, key: str, problem: str
) -> None:
    """The key, what is wrong with it, and what is allowed; never the value."""
    error = refusal(tmp_path, EMPTY, **variables(**{name: value}))
    assert (f"gateways.wx.{key}", problem) == (error.key, error.problem)
    assert HIDDEN not in str(error)


def test_a_certificate_may_be_named_with_zeros_in_front(tmp_path: Path) -> None:
    """Serial numbers are written with them in some places."""
    keys = json.dumps({f"00{CERTIFICATE.number.lower()}": CERTIFICATE.pem})
    assert [CERTIFICATE.number] == list(credentials(tmp_path, public_keys=keys).public_keys)


def test_settings_show_no_key(tmp_path: Path) -> None:
    """Neither the APIv3 key nor the private one."""
    shown = repr(read(tmp_path, EMPTY, **variables()))
    assert MADE.api_v3_key not in shown
    assert "PRIVATE" not in shown
    assert MADE.merchant_pem.splitlines()[1] not in shown
