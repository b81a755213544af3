"""Errors as RFC 9457 problem documents."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web

from payonce.domain.errors import InvalidField, Unavailable

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
COME_AGAIN_S = "5"
_TYPES = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}


class Refused(Exception):
    """A request is answered with a problem document whose `type` ends in `name`."""

    def __init__(self, status: int, name: str, detail: str, **more: object) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.more = more


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


def unavailable(detail: str) -> web.Response:
    """Return the problem document that asks to come again in a second."""
    answer = problem(503, "unavailable", detail)
    answer.headers["Retry-After"] = "1"
    return answer


def _check_path(request: web.Request) -> None:
    if not all(part.isprintable() for part in request.match_info.values()):
        raise Refused(404, "not-found", "nothing has such a name")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document; what is our fault is logged, not told."""
    try:
        _check_path(request)
        return await handler(request)
    except Refused as error:
        answer = problem(error.status, error.name, error.detail, **error.more)
        if error.status == HTTPStatus.UNAUTHORIZED:
            answer.headers["WWW-Authenticate"] = "Bearer"
        elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            answer.headers["Retry-After"] = COME_AGAIN_S
        if "retry_after_s" in error.more:
            answer.headers["Retry-After"] = str(error.more["retry_after_s"])
        return answer
    except InvalidField as error:
        return problem(422, "invalid", str(error), field=error.field, allowed=error.allowed)
    except Unavailable as error:
        log.warning("request.postponed", path=request.path, reason=str(error))
        return unavailable(f"{error.server} is away; try again")
    except web.HTTPException as error:
        name = _TYPES.get(error.status, "http-error")
        answer = problem(error.status, name, error.text or error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path)
        return problem(500, "internal", "the fault is ours; it was logged")
