"""Who searches for secrets finds them, and cries at nothing else."""

import base64
from urllib.parse import quote

import pytest

from tests.support import alipay
from tests.support.canaries import Canaries, canary, secrets_of, webhook_canary

PEM = alipay.sandbox().app_pem
KEY = webhook_canary("key")
RAW = base64.b64decode(KEY.removeprefix("whsec_"))
BIRDS = Canaries({"token": canary("token"), "pem": PEM, "key": KEY})


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (canary("token"), "token"),
        (f"x{canary('token')[9:21]}x", "token"),
        (base64.b64encode(f"user:{canary('token')}".encode()).decode(), "token"),
        (base64.b64encode(f"us:{canary('token')}".encode()).decode(), "token"),
        (canary("token").encode().hex(), "token"),
        (KEY, "key"),
        (quote(KEY, safe=""), "key"),
        (KEY.replace("/", "\\/"), "key"),
        (repr(RAW.hex()), "key"),
        (PEM, "pem"),
        (PEM.replace("\n", "\\n"), "pem"),
        (PEM.splitlines()[-3][20:40], "pem"),
    ],
    ids=range(12),
)
def test_a_secret_is_found_in_whatever_shape(told: str, name: str) -> None:
    """Whole or in part, quoted or encoded."""
    assert {name} == BIRDS.found_in(f"... {told} ...".encode())


@pytest.mark.parametrize(
    "told",
    ["", canary("token")[:11], canary("another"), PEM.splitlines()[2], "secret=***"],
    ids=["nothing", "short", "another", "public", "hidden"],
)
def test_what_is_no_secret_is_not_found(told: str) -> None:
    """Too little to be of use, another's, and the half of a key that is public."""
    assert set() == BIRDS.found_in(told)


def test_a_worker_s_secrets_are_known_by_its_environment() -> None:
    """Passwords in URLs, tokens, keys, lists and tables of them; nothing else, nothing short."""
    env = {
        "PAYONCE_POSTGRES_DSN": "postgresql://u:a-long-password@h/db",
        "PAYONCE_REDIS_URL": "redis://:short@h/0",
        "PAYONCE_HTTP__API_TOKEN": "the-shops-own-token",
        "PAYONCE_HTTP__OPERATORS": '{"ann": "token-of-ann-1f0c"}',
        "PAYONCE_GATEWAYS__A__PRIVATE_KEY": PEM,
        "PAYONCE_GATEWAYS__A__PUBLIC_KEY": "a-key-that-everybody-knows",
        "PAYONCE_HTTP__PUBLIC_URL": "http://localhost:8080",
        "SOME_TOKEN": "the-token-of-another",
    }
    expected = {"a-long-password", "the-shops-own-token", "token-of-ann-1f0c", PEM}
    assert expected == set(secrets_of(env).values())
