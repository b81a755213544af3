"""The gateway mock as a web application: the protocol, the wallet, and the control API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from gateway_mock.books import Refused
from gateway_mock.control import control_routes
from gateway_mock.server import MAX_BODY_BYTES, Mock
from gateway_mock.wallet import Wallet

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what the books refuse, and bad values, with a JSON document."""
    try:
        return await handler(request)
    except Refused as error:
        return web.json_response({"detail": error.detail}, status=error.status)
    except (ValueError, TypeError) as error:
        return web.json_response({"detail": str(error)}, status=422)


def make_app(mock: Mock) -> web.Application:
    """Return the application that serves `mock`, its wallet and its control API."""
    app = web.Application(middlewares=[refusals], client_max_size=MAX_BODY_BYTES)
    app.add_routes(mock.routes())
    app.add_routes(Wallet(mock).routes())
    app.add_routes(control_routes(mock))
    return app


@asynccontextmanager
async def serving(mock: Mock, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `mock` and give its URL; port 0: a free one."""
    runner = web.AppRunner(make_app(mock), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await mock.callbacks.close()
        await runner.cleanup()
