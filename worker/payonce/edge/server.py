"""The HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from payonce.edge.problems import problems
from payonce.settings import HttpSettings

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 65_536
CHECK_WITHIN_S = 2.0
CLOSE_WITHIN_S = 15.0
"""How long requests in hand may take while the server ends; an application asks gateways."""

Check = Callable[[], Awaitable[str | None]]


class Edge:
    """Serves /healthz, /readyz, /metrics and `routes`. `checks` return what is wrong, or None."""

    def __init__(
        self,
        settings: HttpSettings,
        checks: Mapping[str, Check],
        registry: CollectorRegistry,
        routes: Iterable[web.RouteDef] = (),
    ) -> None:
        self._settings = settings
        self._checks = checks
        self._registry = registry
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self.app = web.Application(middlewares=[problems], client_max_size=MAX_BODY_BYTES)
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                *routes,
            ]
        )

    async def run(self) -> None:
        """Serve until `drain`. Raises OSError where the port is taken."""
        # Signatures are over the bytes that came: nothing is unpacked on the way.
        runner = web.AppRunner(
            self.app, access_log=None, shutdown_timeout=CLOSE_WITHIN_S, auto_decompress=False
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._settings.host, self._settings.port)
            await site.start()
            log.info("edge.started", addresses=[f"{one[0]}:{one[1]}" for one in runner.addresses])
            await self._stop.wait()
        finally:
            await runner.cleanup()
            self._ended.set()

    async def drain(self) -> None:
        """Take no new requests, let `run` end after those in hand, and return then."""
        self._stop.set()
        await self._ended.wait()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        names = list(self._checks)
        problems_found = await asyncio.gather(*(_bounded(self._checks[name]) for name in names))
        checks = {name: found or "ok" for name, found in zip(names, problems_found, strict=True)}
        ready = not any(problems_found)
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_WITHIN_S:g} s"
