"""`kind = "stripe"`: Checkout Sessions or PaymentIntents of one Stripe account."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from payonce.domain.errors import BadSettings
from payonce.settings import values
from payonce.settings.kinds.kind import Kind
from payonce.settings.secret import Secret
from payonce.settings.table import Table

Mode = Literal["checkout", "payment_intent"]

MODES = ("checkout", "payment_intent")
BASE_URL = "https://api.stripe.com"
BOLETO = "boleto"

_KEY = re.compile(r"[sr]k_(test|live)_[A-Za-z0-9_]{8,250}")
_ALLOWED_KEY = "sk_live_..., sk_test_..., or a restricted key rk_..."
_SIGNING = re.compile(r"whsec_[A-Za-z0-9+/=_-]{16,250}")
_ALLOWED_SIGNING = "the endpoint's signing secret, whsec_..., or a list of them while rotating"
_METHOD = re.compile(r"[a-z][a-z0-9_]{1,39}")
_ALLOWED_METHODS = 'a list such as ["card"], or ["boleto"] alone'


@dataclass(frozen=True, slots=True)
class StripeCredentials:
    """`webhook_secrets`: each of them is accepted. `expires_after_days`: of a Boleto voucher."""

    secret_key: Secret
    webhook_secrets: tuple[Secret, ...]
    mode: Mode = "checkout"
    payment_methods: tuple[str, ...] = ("card",)
    expires_after_days: int = 3


def read_credentials(table: Table) -> StripeCredentials:
    """Return what a table says. Raises BadSettings."""
    return StripeCredentials(
        secret_key=table.need("secret_key", _secret_key),
        webhook_secrets=table.need("webhook_secret", _webhook_secrets),
        mode=cast(
            "Mode", table.get("mode", values.choice("checkout", "payment_intent"), "checkout")
        ),
        payment_methods=_methods_of(table),
        expires_after_days=_days_of(table),
    )


def _variant(table: Table) -> Kind[StripeCredentials]:
    """Return the kind as it is for what the shopper pays with."""
    return _boleto(_days_of(table)) if _methods_of(table) == (BOLETO,) else STRIPE


def _methods_of(table: Table) -> tuple[str, ...]:
    return table.get("payment_methods", _payment_methods, ["card"])


def _days_of(table: Table) -> int:
    return table.get("expires_after_days", values.whole(0, 60), 3)


def _secret_key(key: str, value: object) -> Secret:
    if not isinstance(value, str):
        raise BadSettings(key, "is not text", _ALLOWED_KEY)
    if value.startswith("pk_"):
        raise BadSettings(key, "is a publishable key", _ALLOWED_KEY)
    if _KEY.fullmatch(value) is None:
        raise BadSettings(key, "is no secret key of Stripe", _ALLOWED_KEY)
    return Secret(value)


def _webhook_secrets(key: str, value: object) -> tuple[Secret, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise BadSettings(key, "is empty", _ALLOWED_SIGNING)
    return tuple(_webhook_secret(key, one) for one in listed)


def _webhook_secret(key: str, value: object) -> Secret:
    if not isinstance(value, str) or _SIGNING.fullmatch(value) is None:
        raise BadSettings(key, "is no signing secret of Stripe", _ALLOWED_SIGNING)
    return Secret(value)


def _payment_methods(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 20:
        raise BadSettings(key, "is not a list of 1 to 20", _ALLOWED_METHODS)
    for one in value:
        if not isinstance(one, str) or _METHOD.fullmatch(one) is None:
            raise BadSettings(key, f"{one!r:.60} is no payment method", _ALLOWED_METHODS)
    if len(set(value)) != len(value):
        raise BadSettings(key, "names one twice", _ALLOWED_METHODS)
    if BOLETO in value and len(value) > 1:
        # It cannot be refunded and is paid days later: what is said of a gateway would be wrong
        # for the one or for the others.
        raise BadSettings(key, "has boleto beside others", "boleto in a gateway of its own")
    return tuple(value)


STRIPE = Kind(
    "stripe",
    read_credentials,
    base_url=BASE_URL,
    # A Checkout Session can be paid for 24 hours unless it is expired before
    # (docs.stripe.com/api/checkout/sessions/create, expires_at).
    lateness="24h",
    # 100 calls a second in live mode, 25 of them to one endpoint, and polls go to one; 25 in all
    # in a sandbox (docs.stripe.com/rate-limits).
    rate_per_s=25,
    # Keys may be pruned once they are 24 hours old (docs.stripe.com/api/idempotent_requests).
    refund_key_window="24h",
    variant=_variant,
)


def _boleto(expires_after_days: int) -> Kind[StripeCredentials]:
    """Return the kind for vouchers (docs.stripe.com/payments/boleto).

    They expire at 23:59 in Sao Paulo after so many days, counted from the voucher, which the
    shopper may take a day after the session was made; banks tell of the money a business day later,
    which weekends and holidays make five. Boleto payments cannot be refunded.
    """
    return Kind(
        STRIPE.name,
        STRIPE.read,
        base_url=STRIPE.base_url,
        ladder=("3s", "30s", "1m", "2m", "30m"),
        watch_for=f"{expires_after_days + 2 + 5}d",
        lateness="5d",
        can_refund=False,
        rate_per_s=STRIPE.rate_per_s,
        refund_key_window=STRIPE.refund_key_window,
    )
