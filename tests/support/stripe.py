"""What a worker is told of a mock of Stripe."""

from typing import Any

from gateway_mock.stripe import StripeMock
from payonce.settings.kinds.stripe import StripeCredentials
from payonce.settings.secret import Secret


def credentials_of(mock: StripeMock, **changed: Any) -> StripeCredentials:
    """Return the credentials of the account that `mock` plays."""
    values = {
        "secret_key": Secret(mock.door.secret_key),
        "webhook_secrets": (Secret(mock.secret),),
        **changed,
    }
    return StripeCredentials(**values)
