"""The configuration of a gateway of kind `stripe`: what it takes, and what fits a voucher."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payonce.domain.errors import BadSettings
from payonce.settings import GatewaySettings, load_settings
from payonce.settings.kinds.stripe import StripeCredentials

KEY, SIGNING = "sk_live_0123456789abcdef", "whsec_AbCdEfGhIjKlMnOpQrStUvWx01234567"
VARIABLES = {"KIND": "stripe", "SECRET_KEY": KEY, "WEBHOOK_SECRET": SIGNING}


def load(tmp_path: Path, **changed: str) -> GatewaySettings:
    """Return the gateway that variables describe."""
    path = tmp_path / "payonce.toml"
    path.write_text("", encoding="utf-8")
    variables: Mapping[str, str] = {**VARIABLES, **changed}
    environ = {f"PAYONCE_GATEWAYS__S__{name}": value for name, value in variables.items() if value}
    return load_settings(environ, config_path=path).gateways["s"]


def problem(tmp_path: Path, **changed: str) -> BadSettings:
    """Return what is said of a bad value."""
    with pytest.raises(BadSettings) as caught:
        load(tmp_path, **changed)
    return caught.value


def test_two_secrets_are_enough(tmp_path: Path) -> None:
    """The rest has defaults that fit cards."""
    settings = load(tmp_path)
    credentials = settings.credentials
    assert isinstance(credentials, StripeCredentials)
    assert ("https://api.stripe.com", 25, True, True, timedelta(hours=24)) == (
        settings.base_url,
        settings.rate_per_s,
        settings.can_refund,
        settings.can_close,
        settings.refund_key_window,
    )
    assert (timedelta(hours=2), timedelta(hours=24)) == (
        settings.terms.watch_for,
        settings.terms.lateness,
    )
    assert (KEY, (SIGNING,), "checkout", ("card",)) == (
        credentials.secret_key.reveal(),
        tuple(one.reveal() for one in credentials.webhook_secrets),
        credentials.mode,
        credentials.payment_methods,
    )


@pytest.mark.parametrize(("days", "watched"), [("", 10), ("0", 7), ("60", 67)])
def test_vouchers_are_watched_until_the_bank_has_told(
    tmp_path: Path, days: str, watched: int
) -> None:
    """And are not refunded by Stripe."""
    changed = {"PAYMENT_METHODS": '["boleto"]', "EXPIRES_AFTER_DAYS": days}
    settings = load(tmp_path, **changed)
    assert not settings.can_refund
    assert (timedelta(days=watched), timedelta(days=5)) == (
        settings.terms.watch_for,
        settings.terms.lateness,
    )
    assert 1_800_000 == settings.terms.ladder.wait_ms(99)
    # Promise 5 of the contract: found again within the longest wait and 5 minutes.
    assert settings.terms.ladder.unrecorded_ms() <= 1_800_000 + 300_000


def test_what_the_table_says_counts_before_what_fits(tmp_path: Path) -> None:
    """Also for vouchers."""
    changed = {"PAYMENT_METHODS": '["boleto"]', "WATCH_FOR": "30d", "CAN_REFUND": "true"}
    settings = load(tmp_path, **changed)
    assert (True, timedelta(days=30)) == (settings.can_refund, settings.terms.watch_for)


def test_secrets_come_from_files_and_several_at_once(tmp_path: Path) -> None:
    """While one is rolled."""
    (tmp_path / "key").write_text(KEY + "\n")
    changed = {
        "SECRET_KEY": "",
        "SECRET_KEY_FILE": str(tmp_path / "key"),
        "WEBHOOK_SECRET": f'["{SIGNING}", "{SIGNING[:-1]}x"]',
    }
    credentials = load(tmp_path, **changed).credentials
    assert isinstance(credentials, StripeCredentials)
    assert (KEY, 2) == (credentials.secret_key.reveal(), len(credentials.webhook_secrets))
    assert KEY not in repr(credentials)


BAD: list[tuple[str, str, str]] = [
    ("SECRET_KEY", "", "is missing"),
    ("SECRET_KEY", "pk_live_0123456789abcdef", "is a publishable key"),
    ("SECRET_KEY", "sk_live_", "is no secret key of Stripe"),
    ("SECRET_KEY", "whsec_0123456789abcdef", "is no secret key of Stripe"),
    ("SECRET_KEY", '["sk_live_0123456789abcdef"]', "is not text"),
    ("WEBHOOK_SECRET", "", "is missing"),
    ("WEBHOOK_SECRET", "whsec_short", "is no signing secret of Stripe"),
    ("WEBHOOK_SECRET", KEY, "is no signing secret of Stripe"),
    ("WEBHOOK_SECRET", "[]", "is empty"),
    ("WEBHOOK_SECRET", f'["{SIGNING}", ""]', "is no signing secret of Stripe"),
    ("MODE", "elements", "'elements' is not allowed"),
    ("PAYMENT_METHODS", "card", "is not a list of 1 to 20"),
    ("PAYMENT_METHODS", "[]", "is not a list of 1 to 20"),
    ("PAYMENT_METHODS", '["Card!"]', "'Card!' is no payment method"),
    ("PAYMENT_METHODS", '["card", "card"]', "names one twice"),
    ("PAYMENT_METHODS", '["card", "boleto"]', "has boleto beside others"),
    ("EXPIRES_AFTER_DAYS", "61", "61 is not allowed"),
    ("SECRET", SIGNING, "is unknown"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_a_bad_value_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    """The key, what is wrong, what is allowed; no secret is shown."""
    error: Any = problem(tmp_path, **{name: value})
    assert f"gateways.s.{name.lower()}" == error.key
    assert error.problem.startswith(said)
    assert error.allowed
    assert "\n" not in str(error)
    assert KEY not in str(error)
