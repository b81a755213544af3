"""RSA-SHA256 signatures, made and checked."""

import base64

from cryptography.hazmat.primitives.asymmetric import rsa as keys

from payonce.gateways.rsa import is_signed, sign

KEY = keys.generate_private_key(public_exponent=65_537, key_size=2048)
OTHER = keys.generate_private_key(public_exponent=65_537, key_size=2048)


def test_signature_fits_its_message_and_key_alone() -> None:
    """One byte more, or another key, and it does not hold."""
    signature = sign(KEY, b"message")
    assert is_signed(KEY.public_key(), b"message", signature)
    assert not is_signed(KEY.public_key(), b"message.", signature)
    assert not is_signed(OTHER.public_key(), b"message", signature)


def test_what_is_no_signature_is_none() -> None:
    """Nothing that a stranger sends raises."""
    for text in ("", "!", "é", "QUJD", base64.b64encode(b"x" * 256).decode()):
        assert not is_signed(KEY.public_key(), b"message", text)
