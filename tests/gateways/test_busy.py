"""What the meter, and so the breaker, hears of a gateway that is busy."""

import pytest

from tests.gateways.rigs import CHARGE, NotingMeter, always, answer, asking


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (answer(b"{}", 429), "busy"),
        (answer(b"{}", 429, {"Retry-After": "5"}), "busy"),
        (answer(b"{}", 503, {"Retry-After": "5"}), "busy"),
        (answer(b"{}", 503), "5xx"),
        (answer(b"{}", 500, {"Retry-After": "5"}), "5xx"),
    ],
)
async def test_a_busy_gateway_is_told_from_a_failing_one(raw: bytes, outcome: str) -> None:
    """It did not act, says so, and counts as no failure."""
    meter = NotingMeter()
    async with asking(always(raw), meter=meter) as (gateway, _):
        await gateway.query(CHARGE)
    assert [("mock", "query", outcome)] == meter.asked
