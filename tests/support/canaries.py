"""Secrets that sing: values that stand nowhere else, and where they turn up, whole or in part."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

LEAST = 12
"""So many characters of a secret, one after the other, are a leak."""

_BLOCK = 6
_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_VARIABLES = re.compile("PAYONCE_.*(SECRET|TOKEN|(?<!PUBLIC_)KEY|OPERATORS.*)$")
_WORDS = re.compile(r"[\w+/=-]+")
_PASSWORD = re.compile(r"://[^/@\s]*:([^/@\s]+)@")


def canary(name: str) -> str:
    """Return the secret of this name: 40 characters that stand in no other text."""
    return sha256(f"canary of {name}".encode()).hexdigest()[:40]


def webhook_canary(name: str) -> str:
    """Return a key as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(sha256(f'key of {name}'.encode()).digest()).decode()}"


class Canaries:
    """Knows secrets by their names, and finds them as they are, in base64, in hexadecimal."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names: dict[str, tuple[str, int]] = {}
        for name, secret in secrets.items():
            self.add(name, secret)

    def add(self, name: str, secret: str | bytes) -> None:
        """Know one more; of a private key in PEM what its public half does not tell."""
        for form, least in _forms(secret).items():
            self._names[form] = name, least

    def found_in(self, content: bytes | str) -> set[str]:
        """Return the names of the secrets of which `content` holds LEAST characters or more."""
        text = content if isinstance(content, str) else content.decode("latin-1")
        text = text.replace("\\/", "/").replace("%2F", "/").replace("%2B", "+").replace("%3D", "=")
        return {name for form, (name, least) in self._names.items() if _holds(text, form, least)}

    def found_in_files(self, files: Iterable[Path]) -> dict[str, set[str]]:
        """Return what stands in which files."""
        found = {str(one): self.found_in(one.read_bytes()) for one in files}
        return {name: leaks for name, leaks in found.items() if leaks}


def secrets_of(env: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets in a worker's environment that are long enough to be known again."""
    found: dict[str, str] = {}
    for name, value in env.items():
        told = _PASSWORD.findall(value) if name.endswith(("_DSN", "_URL")) else []
        if _VARIABLES.match(name):
            told = [value] if _KEY.search(value) else _WORDS.findall(value)
        found |= {f"{name} {n}": one for n, one in enumerate(told)}
    return {name: one for name, one in found.items() if len(one) >= LEAST}


def _forms(secret: str | bytes) -> dict[str, int]:
    """Return the ways to write a secret, and how many characters of each are a leak."""
    if isinstance(secret, bytes):
        return _encoded(secret)
    keys = _KEY.findall(secret)
    if keys:
        # The last two fifths of the DER are primes and exponents; the modulus is public.
        text = "".join(keys[0].split())
        return {text[len(text) * 3 // 5 :].rstrip("="): LEAST}
    forms = {secret.removeprefix("whsec_").rstrip("="): LEAST, **_encoded(secret.encode())}
    if secret.startswith("whsec_"):
        # Stripe's look like these, and are no base64.
        with suppress(binascii.Error):
            forms |= _encoded(base64.b64decode(secret.removeprefix("whsec_")))
    return forms


def _encoded(raw: bytes) -> dict[str, int]:
    """Return bytes in hexadecimal and the three ways that they stand in base64 of a longer text."""
    forms = {raw.hex(): 2 * LEAST}
    for shift in range(3):
        inner = base64.b64encode(b"-" * shift + raw).decode().rstrip("=")
        forms[inner[4 if shift else 0 : -2]] = LEAST + 4
    return forms


def _holds(text: str, form: str, least: int) -> bool:
    """Say whether `text` holds so long a part of `form`: it then holds a whole block of it."""
    for at in range(0, len(form) - _BLOCK + 1, _BLOCK):
        block = form[at : at + _BLOCK]
        start = text.find(block)
        while start >= 0:
            if _overlap(text, start, form, at) >= least:
                return True
            start = text.find(block, start + 1)
    return False


def _overlap(text: str, start: int, form: str, at: int) -> int:
    """Return how long both are equal around a place where they are."""
    before = 0
    while min(start, at) > before and text[start - before - 1] == form[at - before - 1]:
        before += 1
    after = 0
    most = min(len(text) - start, len(form) - at)
    while after < most and text[start + after] == form[at + after]:
        after += 1
    return before + after
