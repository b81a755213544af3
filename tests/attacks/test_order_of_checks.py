"""What is looked at first, and by what: signatures, tokens, memories, secrets."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from payonce.adapters.logs import mask
from payonce.domain import signature
from payonce.domain.errors import BadCallback, BadSettings
from payonce.edge.auth import Auth
from payonce.gateways import stripe_signature
from payonce.gateways.alipay_signature import check_form
from payonce.settings import load_settings
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.attacks.comparing import compared
from tests.handlers.bench import due, opened_bench
from tests.handlers.reception import Door
from tests.support import alipay
from tests.support.alipay import credentials_for

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
KEY = b"k" * 32


def _http() -> None:
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": "v1,given",
    }
    signature.verify([KEY], headers, b"{}", NOW)


def _stripe() -> None:
    header = f"t={int(NOW.timestamp())},v1={'0' * 64}"
    stripe_signature.verify([KEY], header, b"{}", NOW)


async def test_nothing_is_read_before_it_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged callback's body is bytes, whatever stands in it; nothing of it is kept."""

    async def refuse(*_: object) -> None:
        raise BadCallback("bad-signature", "forged")

    async with opened_bench() as bench:
        door, read = Door(bench), []
        monkeypatch.setattr(bench.gateway, "check_callback", refuse)
        monkeypatch.setattr(bench.gateway, "read_callback", lambda *_: read.append(1))
        with pytest.raises(BadCallback):
            await door.knock()
    assert ([], {}) == (read, door.inbox.rows)


async def test_no_memory_ends_a_watch_that_was_taken_up() -> None:
    """A Redis of another past may hold what is proven, and yet is not true any more."""
    async with opened_bench() as bench:
        await bench.registered()
        await bench.cache.remember_succeeded("p1", "o1", 1, "p1")
        await bench.poll.handle(due(0, epoch=1))
    assert 1 == len(bench.gateway.asked)


@pytest.mark.parametrize("verify", [_http, _stripe])
def test_signatures_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, verify: Callable[[], None]
) -> None:
    """By the function that takes as long for a wrong beginning as for a wrong end."""
    pairs = compared(monkeypatch)
    with suppress(BadCallback):
        verify()
    assert 1 == len(pairs)


def test_a_weaker_algorithm_is_refused() -> None:
    """Also where the signature over all the rest holds."""
    form = {"notify_id": "1", "sign_type": "RSA", "out_trade_no": "p_1"}
    made = alipay.sandbox()
    signed = {**form, "sign": made.sign(b"notify_id=1&out_trade_no=p_1")}
    keys = credentials_for(made).public_keys
    with pytest.raises(BadCallback):
        check_form(signed, keys)
    check_form({**signed, "sign_type": "RSA2"}, keys)


async def test_a_token_follows_from_the_installation_s_key() -> None:
    """And from the order's id: with another key all tokens are others."""
    settings = HttpSettings("", 0, "http://x", Secret("api"), {})

    def auth(key: bytes) -> Auth:
        async def token_key() -> bytes:
            return key

        return Auth(settings, token_key)

    tokens = {await auth(key).order_token("o-1") for key in (b"a" * 32, b"b" * 32)}
    assert 2 == len(tokens)
    assert {67} == {len(one) for one in tokens}


@pytest.mark.parametrize(
    ("event", "secret"),
    [
        ({"api_token": "hunter2"}, "hunter2"),
        ({"reason": "postgresql://u:hunter2@h/x"}, "hunter2"),
        ({"reason": ["Bearer hunter2"]}, "hunter2"),
        ({"headers": {"Authorization": "hunter2"}}, "hunter2"),
    ],
)
def test_logs_hide_what_looks_like_a_secret(event: Mapping[str, Any], secret: str) -> None:
    """By the name of its field, or by its look."""
    assert secret not in str(mask(None, "", dict(event)))


def test_one_token_is_one_person(tmp_path: Path) -> None:
    """What is done is recorded by the name that a token stands for."""
    path = tmp_path / "payonce.toml"
    path.write_text(
        '[http.operators]\nann = "one-token"\nbob = "one-token"\n'
        '[gateways.mock]\nkind = "http"\nbase_url = "http://x"\n'
        'secret = "whsec_cGF5b25jZS1kb2N1bWVudHMtdGVzdHM="\n',
        encoding="utf-8",
    )
    with pytest.raises(BadSettings, match=r"http\.operators\.bob: is the same token"):
        load_settings({}, config_path=path)
