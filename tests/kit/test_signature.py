import base64

import pytest
from standardwebhooks import Webhook

from payonce.domain.errors import InvalidField
from payonce.domain.signature import sign, signing_key
from payonce.kit.webhook import check_url

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


def test_signature_is_what_the_reference_library_accepts() -> None:
    """Receivers verify with any library of Standard Webhooks."""
    import time

    now_s = int(time.time())
    headers = sign(signing_key(SECRET), "e-1", now_s, b'{"id":"e-1"}')
    assert {"id": "e-1"} == Webhook(SECRET).verify(b'{"id":"e-1"}', headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_YWJj", "short"])
def test_bad_secrets_are_refused_unseen(secret: str) -> None:
    """A secret that signs nothing is refused, and the error does not show it."""
    with pytest.raises(InvalidField, match="secret") as caught:
        signing_key(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)


@pytest.mark.parametrize("url", ["", "shop", "ftp://shop/", "http://", "http://[", "//shop/x"])
def test_bad_urls_are_refused(url: str) -> None:
    """What cannot be posted to is told at the start."""
    with pytest.raises(InvalidField, match="url"):
        check_url(url)
