"""payonce demo where something fails under it: one line that says what, never a traceback."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from payonce.cli.demo import program
from payonce.cli.demo.stage import Mock
from payonce.cli.demo.stories import GATEWAY, SLIP
from tests.cli.conftest import Payonce
from tests.support.ports import HOST, free_port


class Town:
    """A town whose gateway is not what it should be, and where nothing else happens."""

    def __init__(self, mock: Mock) -> None:
        self.mocks = {GATEWAY: mock, SLIP: mock}

    async def send(self, *_message: object) -> None:
        """Publish nothing."""

    async def order(self, _order_id: str) -> None:
        """Know of no order."""

    def notify_url(self, _gateway: str) -> None:
        """Know of no place to call back at."""


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Serve a gateway that answers every call with 502."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"title": "gateway-ref-taken"}, status=502)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def absent() -> AsyncIterator[str]:
    """Serve nothing."""
    yield f"http://{HOST}:{free_port()}"


def test_all_kinds_need_servers(payonce: Payonce) -> None:
    """Nothing is started for what cannot be shown."""
    ended = payonce("demo", "--embedded", "--gateways", "all")
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith("payonce: --gateways: all needs servers")


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        (refusing, 'was answered with 502: {"title": "gateway-ref-taken"}\n'),
        (absent, "payonce: a server of the demo cannot be reached: Cannot connect to host"),
    ],
)
def test_a_failure_is_one_line(
    payonce: Payonce, monkeypatch: pytest.MonkeyPatch, gateway: Callable[[], Any], words: str
) -> None:
    """However many tasks of the demo come to it."""

    @asynccontextmanager
    async def open_town(_book: object) -> AsyncIterator[Town]:
        async with gateway() as url, aiohttp.ClientSession() as session:
            yield Town(Mock(url, session))

    monkeypatch.setattr(program, "open_real_town", open_town)
    monkeypatch.setattr(program, "configure_logs", lambda _: None)
    ended = payonce("demo", "--plain")

    assert (1, 1) == (ended.status, ended.err.count("\n"))
    assert ended.err.startswith("payonce: ")
    assert words in ended.err
