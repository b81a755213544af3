"""The sandbox keys of Alipay's mock: an app's, and Alipay's own, which rotate."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

APP_ID = "2021000000000001"
SELLER_ID = "2088000000000001"
_APP, _ALIPAY, _PUBLIC, _NAMES = (
    "app_private_key.pem",
    "alipay_private_key.pem",
    "alipay_public_key.pem",
    "names.json",
)


@dataclass
class Sandbox:
    """All keys of one seller's sandbox. `alipay` signs answers and callbacks."""

    app: rsa.RSAPrivateKey
    alipay: rsa.RSAPrivateKey
    app_id: str = APP_ID
    seller_id: str = SELLER_ID

    @property
    def app_pem(self) -> str:
        """The app's private key, which the worker needs."""
        return private_pem(self.app)

    @property
    def alipay_pem(self) -> str:
        """The public key that the worker believes."""
        public = self.alipay.public_key()
        pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode()

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.alipay = new_key()

    def sign(self, content: bytes) -> str:
        """Return Alipay's signature in base64."""
        raw = self.alipay.sign(content, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(raw).decode()

    def is_signed(self, content: bytes, signature: str) -> bool:
        """Say whether the app signed `content`."""
        try:
            raw = base64.b64decode(signature, validate=True)
            self.app.public_key().verify(raw, content, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def make_sandbox() -> Sandbox:
    """Return a sandbox with keys that nobody else has."""
    return Sandbox(new_key(), new_key())


def keep_sandbox(folder: Path) -> Sandbox:
    """Return the sandbox whose keys lie in `folder`, or a new one, written there.

    The worker needs app_private_key.pem, alipay_public_key.pem and what names.json holds. Raises
    OSError, ValueError, KeyError.
    """
    names = folder / _NAMES
    if names.exists():
        known = json.loads(names.read_text(encoding="utf-8"))
        return Sandbox(
            _key_in(folder / _APP), _key_in(folder / _ALIPAY), known["app_id"], known["seller_id"]
        )
    folder.mkdir(parents=True, exist_ok=True)
    made = make_sandbox()
    files = {
        _APP: made.app_pem,
        _ALIPAY: private_pem(made.alipay),
        _PUBLIC: made.alipay_pem,
        _NAMES: json.dumps({"app_id": made.app_id, "seller_id": made.seller_id}),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return made


def joined(parameters: Mapping[str, str], *left_out: str) -> bytes:
    """Return what is signed: sorted `k=v&k=v` of what is not empty."""
    kept = [name for name, value in parameters.items() if value and name not in left_out]
    return "&".join(f"{name}={parameters[name]}" for name in sorted(kept)).encode()


def new_key() -> rsa.RSAPrivateKey:
    """Return a key of RSA2's length."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    """Return a private key in PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _key_in(path: Path) -> rsa.RSAPrivateKey:
    found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(found, rsa.RSAPrivateKey):
        raise ValueError(f"{path.name}: is not an RSA key")  # noqa: TRY004 - a file's content
    return found
