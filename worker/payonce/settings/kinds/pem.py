"""RSA keys as a configuration holds them: PEM text, checked, and never shown."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from payonce.domain.errors import BadSettings

LEAST_BITS = 2048
_PRIVATE = "an RSA private key in PEM, not encrypted: -----BEGIN PRIVATE KEY----- ..."
_PUBLIC = "an RSA certificate or public key in PEM: -----BEGIN CERTIFICATE----- ..."
_LONGEST = 20_000


def private_key(key: str, value: object) -> RSAPrivateKey:
    """Return the RSA key that a PEM holds."""
    text = _pem(key, value, _PRIVATE)
    try:
        found = load_pem_private_key(text, password=None)
    except TypeError:
        raise BadSettings(key, "is encrypted", _PRIVATE) from None
    except UnsupportedAlgorithm:
        # Such as SM2, which WeChat Pay and Alipay hand out beside RSA.
        raise BadSettings(key, "is not an RSA key", _PRIVATE) from None
    except ValueError:
        raise BadSettings(key, "is not a private key in PEM", _PRIVATE) from None
    if not isinstance(found, RSAPrivateKey):
        raise BadSettings(key, "is not an RSA key", _PRIVATE)
    _check_size(key, found.key_size)
    return found


def public_key(key: str, value: object) -> tuple[RSAPublicKey, str | None]:
    """Return the RSA key that a PEM holds; of a certificate its serial too, in capitals."""
    text = _pem(key, value, _PUBLIC)
    try:
        found, serial = _read(text)
    except UnsupportedAlgorithm:
        raise BadSettings(key, "is not an RSA key", _PUBLIC) from None
    except ValueError:
        raise BadSettings(key, "is neither a certificate nor a public key", _PUBLIC) from None
    if not isinstance(found, RSAPublicKey):
        raise BadSettings(key, "is not an RSA key", _PUBLIC)
    _check_size(key, found.key_size)
    return found, serial


def _read(text: bytes) -> tuple[object, str | None]:
    if b"BEGIN CERTIFICATE" not in text:
        return load_pem_public_key(text), None
    certificate = x509.load_pem_x509_certificate(text)
    return certificate.public_key(), f"{certificate.serial_number:X}"


def _pem(key: str, value: object, allowed: str) -> bytes:
    if not isinstance(value, str) or "-----BEGIN " not in value:
        raise BadSettings(key, "is not PEM", allowed)
    if len(value) > _LONGEST:
        raise BadSettings(key, "is too long", allowed)
    return value.strip().encode()


def _check_size(key: str, bits: int) -> None:
    if bits < LEAST_BITS:
        raise BadSettings(key, f"has {bits} bits", f"an RSA key of at least {LEAST_BITS} bits")
