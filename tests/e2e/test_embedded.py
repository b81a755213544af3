"""The main job in one process: the order service is called there too."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from payonce.bootstrap.embedded import open_embedded
from payonce.ports.bus import DONE, Delivery, Fate
from payonce.settings import load_settings
from tests.e2e.test_told_by_call import reluctant
from tests.support.order_service import SECRET
from tests.support.town import FAST_LADDER, payments
from tests.support.waiting import eventually


async def test_the_order_service_is_called_without_any_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, once more after a refusal, and a yes acknowledges; the bound queue has the event."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    [payment] = payments(1)
    mock, stop = Mock(), asyncio.Event()
    heard: list[bytes] = []

    async def receive(delivery: Delivery) -> Fate:
        heard.append(delivery.body)
        return DONE

    async with serving(mock) as gateway_url, reluctant(1) as (url, calls):
        settings = load_settings(
            {
                "PAYONCE_GATEWAYS__MOCK__BASE_URL": gateway_url,
                "PAYONCE_POLL__LADDER": json.dumps(FAST_LADDER),
                "PAYONCE_ORDER_SERVICE__NOTIFY_URL": url,
                "PAYONCE_ORDER_SERVICE__SECRET": SECRET,
            }
        )
        async with open_embedded(settings) as embedded:
            running = asyncio.create_task(embedded.run(stop, "shop", receive))
            reader = embedded.world.reader()
            mock.scripts["p-0"] = parse_script({"pays_after_s": 0})
            mock.open_charge(dict(payment))

            async def is_acknowledged() -> bool:
                order = await reader.order("o-p-0")
                return bool(order and order["acknowledged"])

            embedded.send("payment.initiated", payment)
            await eventually(is_acknowledged, 30)
            stop.set()
            await running
    assert (1, 2) == (len(heard), len(calls))
    assert [json.loads(heard[0])] * 2 == [event for _, event in calls]
