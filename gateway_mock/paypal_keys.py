"""The certificates of a PayPal that is not: a root of its own, and one that signs webhooks."""

import base64
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "messageverificationcerts.paypal.com"
ROOT_FILE, KEY_FILE, CERT_FILE = "paypal-root.pem", "paypal-key.pem", "paypal-cert.pem"


@dataclass(frozen=True)
class Account:
    """What a merchant configures; secrets and ids that are public, since they are a mock's."""

    client_id: str = "mock-client"
    client_secret: str = "mock-client-secret"  # noqa: S105 - a mock's, public
    webhook_id: str = "8MOCK1234567"


@dataclass(frozen=True)
class Authority:
    """A root certificate and its key."""

    key: rsa.RSAPrivateKey
    cert: x509.Certificate


@dataclass(frozen=True)
class Keys:
    """What signs webhooks, its certificate, and the root that this leads back to, in PEM."""

    key: rsa.RSAPrivateKey
    cert_pem: bytes
    root_pem: str


def new_key() -> rsa.RSAPrivateKey:
    """Return a new key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def make_authority(
    now: datetime, name: str = "Mock Root", issuer: Authority | None = None
) -> Authority:
    """Return a certificate that signs others for ten years; a root, where nobody issued it."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = issuer.cert.subject if issuer else subject
    builder = _dated(now - timedelta(days=365), now + timedelta(days=3650))
    builder = builder.subject_name(subject).issuer_name(by).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    signer = issuer.key if issuer else key
    of = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(of, critical=False)
    return Authority(key, builder.sign(signer, hashes.SHA256()))


def make_cert(
    authority: Authority,
    key: rsa.RSAPrivateKey,
    begins: datetime,
    ends: datetime,
    name: str = NAME,
) -> x509.Certificate:
    """Return a certificate for `key`, as an authority for the web issues it."""
    builder = _dated(begins, ends)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = builder.subject_name(subject).issuer_name(authority.cert.subject)
    builder = builder.public_key(key.public_key())
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = builder.add_extension(names, critical=False)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = builder.add_extension(purposes, critical=False)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def make_keys(now: datetime | None = None) -> Keys:
    """Return new keys, valid around `now`."""
    now = now or datetime.now(UTC)
    authority, key = make_authority(now), new_key()
    cert = make_cert(authority, key, now - timedelta(days=30), now + timedelta(days=365))
    return Keys(key, pem_of(cert), pem_of(authority.cert).decode())


def sign(keys: Keys, webhook_id: str, cert_url: str, content: bytes, at: float) -> dict[str, str]:
    """Return the headers that PayPal sends along with an event."""
    transmission_id, sent_at = (
        str(uuid4()),
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    parts = (transmission_id, sent_at, webhook_id, zlib.crc32(content))
    message = "|".join(str(one) for one in parts).encode()
    signature = keys.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Content-Type": "application/json",
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        "PAYPAL-AUTH-VERSION": "v2",
        "PAYPAL-CERT-URL": cert_url,
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(),
        "PAYPAL-TRANSMISSION-TIME": sent_at,
    }


def keys_in(folder: Path) -> Keys:
    """Return the keys that a folder holds, made and written there if it holds none."""
    if not (folder / KEY_FILE).exists():
        _write(folder, make_keys())
    key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{folder / KEY_FILE} holds no RSA key")  # noqa: TRY004 - a bad value
    root = (folder / ROOT_FILE).read_text(encoding="ascii")
    return Keys(key, (folder / CERT_FILE).read_bytes(), root)


def pem_of(cert: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return cert.public_bytes(serialization.Encoding.PEM)


def _write(folder: Path, keys: Keys) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROOT_FILE).write_text(keys.root_pem, encoding="ascii")
    (folder / CERT_FILE).write_bytes(keys.cert_pem)
    private = keys.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / KEY_FILE).write_bytes(private)
    (folder / KEY_FILE).chmod(0o600)


def _dated(begins: datetime, ends: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number())
    return builder.not_valid_before(begins).not_valid_after(ends)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
