"""Keys of `kind = "paypal"`: what they mean by themselves, and what is refused."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payonce.settings import GatewaySettings
from payonce.settings.kinds.paypal import PaypalCredentials
from payonce.settings.secret import Secret
from tests.settings.reading import read, refusal
from tests.support.paypal import KEYS

SMALLEST = """
[gateways.pp]
kind = "paypal"
client_id = "AXy_client-1"
client_secret = "a-secret-of-a-client"
webhook_id = "8PT597110X687430L"
"""


def gateway(folder: Path, text: str = SMALLEST, /, **variables: str) -> GatewaySettings:
    """Return the settings of the gateway."""
    return read(folder, text, **variables).gateways["pp"]


def test_smallest_configuration_means_paypal_s_own_limits(tmp_path: Path) -> None:
    """Its address, its windows, and that it captures."""
    found = gateway(tmp_path)
    assert "https://api-m.paypal.com" == found.base_url
    assert timedelta(days=45) == found.refund_key_window
    assert (True, True, True) == (found.can_close, found.can_refund, found.terms.captures)
    assert (5_000, 15_000, 45_000, 180_000) == found.terms.ladder.waits_ms
    assert (timedelta(hours=3), timedelta(minutes=15)) == (
        found.terms.watch_for,
        found.terms.lateness,
    )
    assert (
        PaypalCredentials(
            client_id="AXy_client-1",
            client_secrets=(Secret("a-secret-of-a-client"),),
            webhook_ids=("8PT597110X687430L",),
            cert_hosts=("*.paypal.com",),
            cert_roots=(),
            callbacks_for=timedelta(minutes=5),
        )
        == found.credentials
    )


def test_secrets_and_roots_come_from_files(tmp_path: Path) -> None:
    """A trailing newline is ignored."""
    secret, roots = tmp_path / "secret", tmp_path / "roots.pem"
    secret.write_text("another-secret-of-a-client\n", encoding="utf-8")
    roots.write_text(KEYS.root_pem, encoding="utf-8")
    found = gateway(
        tmp_path,
        GATEWAYS__PP__CLIENT_SECRET_FILE=str(secret),
        GATEWAYS__PP__CERT_ROOTS_FILE=str(roots),
    ).credentials
    assert isinstance(found, PaypalCredentials)
    assert (Secret("another-secret-of-a-client"),) == found.client_secrets
    assert 1 == len(found.cert_roots)


def test_several_at_once_while_they_change(tmp_path: Path) -> None:
    """Secrets and webhooks, and a mock beside PayPal's own hosts."""
    found = gateway(
        tmp_path,
        GATEWAYS__PP__CLIENT_SECRET=json.dumps(["new-secret-of-a-client", "old-secret-of-mine"]),
        GATEWAYS__PP__WEBHOOK_ID='["W1", "W2"]',
        GATEWAYS__PP__CERT_HOSTS='["api.paypal.com", "http://127.0.0.1:9090", "http://[::1]:1"]',
        GATEWAYS__PP__CALLBACKS_FOR="3d",
    ).credentials
    assert isinstance(found, PaypalCredentials)
    assert 2 == len(found.client_secrets)
    assert ("W1", "W2") == found.webhook_ids
    assert ("api.paypal.com", "http://127.0.0.1:9090", "http://[::1]:1") == found.cert_hosts
    assert timedelta(days=3) == found.callbacks_for


@pytest.mark.parametrize("name", ["client_id", "client_secret", "webhook_id"])
def test_what_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """One line says which."""
    lines = [line for line in SMALLEST.splitlines() if not line.startswith(name)]
    error = refusal(tmp_path, "\n".join(lines))
    assert (f"gateways.pp.{name}", "is missing") == (error.key, error.problem)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", ""),
        ("client_id", "a b"),
        ("client_id", "a:b"),
        ("client_id", "x" * 201),
        ("client_secret", "too-short"),
        ("client_secret", "a secret with spaces in it"),
        ("client_secret", "[]"),
        ("client_secret", '["a-secret-of-a-client", 5]'),
        ("webhook_id", "W-1"),
        ("webhook_id", "[]"),
        ("webhook_id", "X" * 51),
        ("cert_hosts", "[]"),
        ("cert_hosts", "https://api.paypal.com"),
        ("cert_hosts", "*"),
        ("cert_hosts", "*.com."),
        ("cert_hosts", "http://192.168.0.1:9090"),
        ("cert_hosts", "http://localhost:9090"),
        ("cert_hosts", "http://127.0.0.1"),
        ("cert_hosts", "http://127.0.0.1:9090/path"),
        ("cert_hosts", "http://127.0.0.1:port"),
        ("cert_roots", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"),
        ("cert_roots", "/etc/ssl/cert.pem"),
        ("callbacks_for", "5d"),
        ("callbacks_for", "soon"),
    ],
)
def test_bad_values_are_refused_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    """With the key, what is wrong and what is allowed; no secret is shown."""
    changed: Any = {f"GATEWAYS__PP__{name.upper()}": value}
    error = refusal(tmp_path, SMALLEST, **changed)
    assert f"gateways.pp.{name}" == error.key
    if name == "client_secret":
        assert value not in str(error)


def test_secrets_are_shown_to_nobody(tmp_path: Path) -> None:
    """Neither by the settings nor by their parts."""
    assert "a-secret-of-a-client" not in repr(gateway(tmp_path))
