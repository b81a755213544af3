"""The sandbox keys of WeChat Pay's mock: a merchant's, and the platform's, which rotate."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

MCHID = "1900000001"
APPID = "wxd678efh567hg6787"
SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
_YEARS = timedelta(days=5 * 365)


@dataclass(frozen=True)
class PlatformKey:
    """One key that the platform signs with: a certificate's, or a public key's with an id."""

    number: str
    private: rsa.RSAPrivateKey
    pem: str
    effective_at: datetime

    @property
    def is_certificate(self) -> bool:
        """Say whether it is handed out by GET /v3/certificates."""
        return "CERTIFICATE" in self.pem

    def sign(self, content: bytes, at_s: int) -> dict[str, str]:
        """Return the headers of an answer or a callback; `at_s`: seconds since 1970."""
        timestamp, nonce = str(at_s), secrets.token_hex(16)
        message = f"{timestamp}\n{nonce}\n".encode() + content + b"\n"
        signature = self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Wechatpay-Serial": self.number,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": SIGNATURE_TYPE,
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
        }


@dataclass
class Sandbox:
    """All keys of one merchant's sandbox.

    The last of `certificates` signs answers and callbacks, unless `signs_by_public_key`; an answer
    follows the request's wish for the public key (Wechatpay-Serial).
    """

    serial: str
    merchant: rsa.RSAPrivateKey
    api_v3_key: str
    public_key: PlatformKey
    certificates: list[PlatformKey] = field(default_factory=list)
    signs_by_public_key: bool = False
    mchid: str = MCHID
    appid: str = APPID

    @property
    def merchant_pem(self) -> str:
        """The merchant's private key, which the worker needs."""
        return _private_pem(self.merchant)

    @property
    def current(self) -> PlatformKey:
        """The key that callbacks are signed with."""
        return self.public_key if self.signs_by_public_key else self.certificates[-1]

    def answering(self, wish: str | None) -> PlatformKey:
        """Return the key that an answer is signed with."""
        return self.public_key if wish == self.public_key.number else self.current

    def rotate(self) -> PlatformKey:
        """Begin to sign with a new certificate; the earlier ones are handed out still."""
        self.certificates.append(_new_certificate())
        return self.certificates[-1]

    def is_signed(self, message: bytes, signature: str) -> bool:
        """Say whether the merchant signed `message`."""
        try:
            raw = base64.b64decode(signature, validate=True)
            self.merchant.public_key().verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def seal(self, content: bytes, associated_data: str, original_type: str) -> dict[str, str]:
        """Return `content` as only the merchant can read it."""
        nonce = secrets.token_hex(6)
        cipher = AESGCM(self.api_v3_key.encode())
        sealed = cipher.encrypt(nonce.encode(), content, associated_data.encode())
        return {
            "original_type": original_type,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": associated_data,
            "nonce": nonce,
        }


def make_sandbox() -> Sandbox:
    """Return a sandbox with keys of its own."""
    return Sandbox(
        serial=secrets.token_hex(20).upper(),
        merchant=_new_key(),
        api_v3_key=secrets.token_hex(16),
        public_key=_new_public_key(),
        certificates=[_new_certificate()],
    )


def keep_sandbox(folder: Path) -> Sandbox:
    """Return the sandbox that a folder holds; write one into it where it holds none."""
    names = folder / "sandbox.json"
    if names.exists():
        return _read(folder, json.loads(names.read_text(encoding="utf-8")))
    sandbox = make_sandbox()
    folder.mkdir(parents=True, exist_ok=True)
    certificate, public_key = sandbox.certificates[0], sandbox.public_key
    written = {
        "merchant_key.pem": sandbox.merchant_pem,
        "platform_certificate.pem": certificate.pem,
        "platform_certificate_key.pem": _private_pem(certificate.private),
        "platform_public_key.pem": public_key.pem,
        "platform_public_key_key.pem": _private_pem(public_key.private),
        "api_v3_key": sandbox.api_v3_key,
    }
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    known = {
        "mchid": sandbox.mchid,
        "appid": sandbox.appid,
        "serial": sandbox.serial,
        "public_key_id": public_key.number,
    }
    names.write_text(json.dumps(known, indent=2), encoding="utf-8")
    return sandbox


def _read(folder: Path, known: dict[str, str]) -> Sandbox:
    def key_in(name: str) -> rsa.RSAPrivateKey:
        found = serialization.load_pem_private_key((folder / name).read_bytes(), password=None)
        if not isinstance(found, rsa.RSAPrivateKey):
            raise ValueError(f"{name}: is not an RSA key")  # noqa: TRY004 - a file's content
        return found

    pem = (folder / "platform_certificate.pem").read_text(encoding="utf-8")
    public_pem = (folder / "platform_public_key.pem").read_text(encoding="utf-8")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    since = certificate.not_valid_before_utc
    number = f"{certificate.serial_number:X}"
    return Sandbox(
        serial=known["serial"],
        merchant=key_in("merchant_key.pem"),
        api_v3_key=(folder / "api_v3_key").read_text(encoding="utf-8"),
        public_key=PlatformKey(
            known["public_key_id"], key_in("platform_public_key_key.pem"), public_pem, since
        ),
        certificates=[
            PlatformKey(number, key_in("platform_certificate_key.pem"), pem, since),
        ],
        mchid=known["mchid"],
        appid=known["appid"],
    )


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def _new_public_key() -> PlatformKey:
    private = _new_key()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    number = f"PUB_KEY_ID_0119{secrets.randbelow(10**18):018d}"
    return PlatformKey(number, private, pem.decode(), datetime.now(UTC))


def _new_certificate() -> PlatformKey:
    private, now = _new_key(), datetime.now(UTC).replace(microsecond=0)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox of the gateway mock")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _YEARS)
        .sign(private, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return PlatformKey(f"{certificate.serial_number:X}", private, pem, now)


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
