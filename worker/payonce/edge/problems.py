"""Errors as RFC 9457 problem documents."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
_TYPES = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, name: str, detail: str, **more: object) -> web.Response:
    """Return a problem document whose `type` ends in `name`."""
    body = {
        "type": f"/problems/{name}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return web.json_response(body, status=status, content_type=PROBLEM)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document; what is our fault is logged, not told."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        name = _TYPES.get(error.status, "http-error")
        answer = problem(error.status, name, error.text or error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path)
        return problem(500, "internal", "the fault is ours; it was logged")
