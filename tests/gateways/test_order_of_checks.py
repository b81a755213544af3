"""Every kind of gateway: what is not signed is neither read, nor kept, nor told of."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from payonce.adapters.clock import SystemClock
from payonce.adapters.metrics import NullMeter
from payonce.domain.errors import BadCallback
from payonce.gateways.client import open_session
from payonce.gateways.registry import build_gateways
from payonce.inbox import Reception
from payonce.ports.inbox import NewCallback
from payonce.settings import load_settings
from tests.cli.conftest import NOWHERE
from tests.support.kinds import KINDS, environment_of

MARKER = "4111-1111-of-a-stranger"
NO_JSON = b"\xff{" + MARKER.encode()
A_SUCCESS = json.dumps(
    {"type": "charge", "data": {"payment_id": "p1", "status": "succeeded", "note": MARKER}}
).encode()
each_kind = pytest.mark.parametrize("name", sorted(KINDS))


class Untouched:
    """An inbox and a handler that nothing may reach."""

    async def keep(self, callbacks: list[NewCallback]) -> list[int | None]:
        """Be reached."""
        raise AssertionError(f"kept {callbacks}")

    async def finish(self, finished: list[object]) -> list[None]:
        """Be reached."""
        raise AssertionError(f"finished {finished}")


async def refusal_of(name: str, headers: Mapping[str, str], body: bytes) -> BadCallback:
    """Return how a callback is refused by a gateway of this kind; nothing of it is logged."""
    kind, untouched = KINDS[name], Untouched()
    told = environment_of(kind, kind.make(), "http://127.0.0.1:1", "real", ["1m"])
    wanted = load_settings({**NOWHERE, **told}).gateways
    async with open_session() as session:
        gateways = build_gateways(wanted, session, NullMeter())
        reception = Reception(
            untouched,  # type: ignore[arg-type] # nothing reaches it
            untouched,  # type: ignore[arg-type] # the same
            gateways,
            SystemClock(),
            NullMeter(),
        )
        with capture_logs() as logs, pytest.raises(BadCallback) as caught:
            await reception.receive("real", headers, body)
    assert MARKER not in str(logs)
    assert MARKER not in str(caught.value)
    return caught.value


@each_kind
@pytest.mark.parametrize("body", [b"", NO_JSON, A_SUCCESS, b"[" * 60_000, b"&" * 60_000])
async def test_an_unsigned_body_is_a_bad_signature_whatever_it_holds(
    name: str, body: bytes
) -> None:
    """Not bad JSON, not a bad field: nothing is said of what nobody has signed."""
    assert "bad-signature" == (await refusal_of(name, {}, body)).code


@each_kind
async def test_a_wrong_signature_is_no_better_than_none(name: str) -> None:
    """In headers of several kinds at once, with a time of now.

    WeChat Pay's name a key: test_wechatpay_callbacks has a stranger's under a known one.
    """
    now = int(SystemClock().now().timestamp())
    headers = {
        "webhook-id": "evt-1",
        "webhook-timestamp": str(now),
        "webhook-signature": "v1," + "A" * 43 + "=",
        "Stripe-Signature": f"t={now},v1={'0' * 64}",
    }
    for body in (NO_JSON, A_SUCCESS):
        assert "bad-signature" == (await refusal_of(name, headers, body)).code


@each_kind
@settings(max_examples=20, deadline=None)
@given(body=st.binary(max_size=300))
async def test_a_stranger_s_bytes_are_refused_alike(name: str, body: bytes) -> None:
    """No bytes get another answer, so that none can be used to ask about the code behind."""
    assert "bad-signature" == (await refusal_of(name, {}, body)).code
