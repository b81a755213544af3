"""The HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from payonce.domain.errors import TaskDied
from payonce.edge.bodies import MAX_BODY_BYTES
from payonce.edge.connections import Bounds, Gate, bounds_of_process
from payonce.edge.malformed import log_malformed
from payonce.edge.problems import Handler, problems, unavailable
from payonce.settings import HttpSettings

log = structlog.get_logger(__name__)

CHECK_WITHIN_S = 2.0
FINISH_WITHIN_S = 15.0
"""How long requests in hand may take while the server ends; an application asks gateways."""
CLOSE_WITHIN_S = 0.5
"""How long connections without a request are waited for; the library waits for some in vain."""
BACKLOG = 128

OWN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"})
"""What is answered before payonce has started: it asks no database."""

Check = Callable[[], Awaitable[str | None]]


class Edge:
    """Serves /healthz, /readyz, /metrics and, once `is_prepared`, `routes`.

    `checks` return what is wrong, or None.
    """

    def __init__(
        self,
        settings: HttpSettings,
        checks: Mapping[str, Check],
        registry: CollectorRegistry,
        routes: Iterable[web.RouteDef] = (),
        is_prepared: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._checks = checks
        self._registry = registry
        self._is_prepared = is_prepared
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()
        middlewares = [self._counted, problems]
        self.app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                *routes,
            ]
        )

    async def run(self, bounds: Bounds | None = None) -> None:
        """Serve until `drain`. Raises TaskDied where the port is not to be had."""
        runner = web.AppRunner(self.app, shutdown_timeout=CLOSE_WITHIN_S)
        log_malformed()
        await runner.setup()
        try:
            gate = Gate(_server_of(runner), bounds or bounds_of_process())
            listening = await _listen(gate, self._settings)
            names = [one.getsockname() for one in listening.sockets]
            log.info(
                "edge.started",
                addresses=[f"{one[0]}:{one[1]}" for one in names],
                most_connections=gate.bounds.most,
            )
            await self._stop.wait()
            listening.close()
            await self._finish()
        finally:
            await runner.cleanup()
            self._ended.set()

    async def drain(self) -> None:
        """Take no new requests, let `run` end after those in hand, and return then."""
        self._stop.set()
        await self._ended.wait()

    @web.middleware
    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._in_hand += 1
        self._idle.clear()
        try:
            if not self._is_prepared() and request.path not in OWN_PATHS:
                return unavailable("payonce has not started yet; see /readyz")
            return await handler(request)
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    async def _finish(self) -> None:
        """Wait for the requests in hand."""
        try:
            async with asyncio.timeout(FINISH_WITHIN_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("edge.cut_off", requests=self._in_hand)

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


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise LookupError("the runner was not set up")
    return runner.server


async def _listen(gate: Gate, settings: HttpSettings) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(gate, settings.host, settings.port, backlog=BACKLOG)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        problem = f"cannot listen on {place} ({error.strerror}); choose another http.port"
        raise TaskDied("edge", problem) from None


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_WITHIN_S:g} s"
