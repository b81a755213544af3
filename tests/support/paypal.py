"""What a worker is told of a mock of PayPal."""

import json
from datetime import timedelta
from typing import Any

from cryptography import x509

from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import make_keys
from payonce.settings.kinds.paypal import PaypalCredentials
from payonce.settings.secret import Secret

KEYS = make_keys()
"""Made once: keys take their time."""


def credentials_of(mock: PaypalMock, url: str, **changed: Any) -> PaypalCredentials:
    """Return the credentials of the account that `mock` plays at `url`."""
    values = {
        "client_id": mock.account.client_id,
        "client_secrets": (Secret(mock.account.client_secret),),
        "webhook_ids": (mock.account.webhook_id,),
        "cert_hosts": (url,),
        "cert_roots": tuple(x509.load_pem_x509_certificates(mock.keys.root_pem.encode())),
        "callbacks_for": timedelta(minutes=5),
        **changed,
    }
    return PaypalCredentials(**values)


def variables_of(mock: PaypalMock, url: str) -> dict[str, str]:
    """Return what a worker's variables say of the gateway's table."""
    return {
        "KIND": "paypal",
        "BASE_URL": url,
        "CLIENT_ID": mock.account.client_id,
        "CLIENT_SECRET": mock.account.client_secret,
        "WEBHOOK_ID": mock.account.webhook_id,
        "CERT_HOSTS": json.dumps([url]),
        "CERT_ROOTS": mock.keys.root_pem,
    }
