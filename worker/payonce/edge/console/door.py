"""Who comes in: login, logout, and what every page and every form has to pass."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from payonce.domain.errors import InvalidField, Unavailable
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_form
from payonce.edge.console.sessions import PATH, Session, Sessions
from payonce.edge.pages.rendering import Pages
from payonce.edge.problems import Refused

log = structlog.get_logger(__name__)

LIVE = "Payonce-Live"
"""The header of a request for the part of a page that changes by itself."""

Form = Mapping[str, str]
Page = Callable[[web.Request, Session], Awaitable[web.Response]]
Action = Callable[[web.Request, Session, Form], Awaitable[str]]
"""Does what a form asks for, returns what to say of it. InvalidField, Refused, Unavailable."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """Lets operators in, and makes handlers of pages and actions."""

    def __init__(self, auth: Auth, sessions: Sessions, pages: Pages, public_url: str) -> None:
        self._auth = auth
        self._sessions = sessions
        self._pages = pages
        self._public_url = public_url

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the routes of login and logout."""
        yield web.get(f"{PATH}/login", self._safely(self._show_login))
        yield web.post(f"{PATH}/login", self._safely(self._log_in))
        yield web.post(f"{PATH}/logout", self._safely(self._log_out))

    def page(self, work: Page) -> Handler:
        """Return a handler that shows a page to whoever is logged in."""

        async def handle(request: web.Request) -> web.StreamResponse:
            session = await self._sessions.of(request)
            if session is None:
                return self._ask_in(request)
            return await work(request, session)

        return self._safely(handle)

    def action(self, work: Action, back: str) -> Handler:
        """Return a handler that does what a form asks for, and goes back to a page that says so."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._refuse_foreign(request)
            session = await self._sessions.of(request)
            if session is None:
                return _see_other(f"{PATH}/login")
            form = await read_form(request)
            if not _is_right(form.get("csrf", ""), session.csrf):
                raise Refused(403, "foreign-form", "the form is not of this session; load it again")
            return await self._done(request, session, form, work, back)

        return self._safely(handle)

    async def show(
        self,
        request: web.Request,
        session: Session,
        template: str,
        *,
        http_status: int = 200,
        **context: Any,
    ) -> web.Response:
        """Return a page, or of a live one the part that changes; 304 where that did not."""
        live = LIVE in request.headers
        said = None if live else await self._sessions.said(request)
        known = {"live": live, "session": session, "said": said, "here": request.path_qs}
        response = self._answer(template, status=http_status, **known, **context)
        if said is not None:
            self._sessions.has_said(response)
        etag = f'"{hashlib.sha256(response.body or b"").hexdigest()[:32]}"'  # type: ignore[arg-type]
        if live and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag, "Cache-Control": "no-store"})
        response.headers["ETag"] = etag
        return response

    async def _done(
        self, request: web.Request, session: Session, form: Form, work: Action, back: str
    ) -> web.Response:
        try:
            said, good = await work(request, session, form), True
        except InvalidField as error:
            said, good = (
                f"Not done. {error.field}: {error.problem}. Allowed: {error.allowed}.",
                False,
            )
        except Refused as error:
            said, good = f"Not done. {error.detail[:1].upper()}{error.detail[1:]}.", False
        except Unavailable as error:
            said, good = f"Perhaps not done: {error.server} is away. Look, and try again.", False
        response = _see_other(local_path(form.get("back")) or back)
        await self._sessions.say(response, said, good=good)
        return response

    async def _show_login(self, request: web.Request) -> web.StreamResponse:
        following = local_path(request.query.get("next")) or PATH
        if await self._sessions.of(request) is not None:
            return _see_other(following)
        # A link from elsewhere comes without the cookie; from here the same address comes with it.
        foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
        return self._login_page(following, "", foreign=foreign)

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        self._refuse_foreign(request)
        form = await read_form(request)
        following = local_path(form.get("next")) or PATH
        token = form.get("token", "").strip()
        if not token:
            return self._login_page(following, "Give your token.", 422)
        caller = self._auth.caller_of(request, await self._sessions.mark_of(request))
        try:
            operator = self._auth.operator_of(token, caller)
        except Refused as error:
            log.warning("operator.refused", address=caller.address, reason=error.name)
            page = self._login_page(following, _LOGIN_PROBLEMS[error.name], error.status)
            if "retry_after_s" in error.more:
                page.headers["Retry-After"] = str(error.more["retry_after_s"])
            return page
        log.info("operator.logged_in", by=operator, address=caller.address)
        response = _see_other(following)
        await self._sessions.begin(response, operator)
        return response

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self._refuse_foreign(request)
        session = await self._sessions.of(request)
        form = await read_form(request)
        response = _see_other(f"{PATH}/login")
        if session is not None and _is_right(form.get("csrf", ""), session.csrf):
            log.info("operator.logged_out", by=session.operator)
            self._sessions.end(response)
        return response

    def _ask_in(self, request: web.Request) -> web.Response:
        """Send to the login; a page that refreshes itself is told that the session has ended."""
        if LIVE in request.headers:
            return self._answer("ops/ended.html", status=401, here=request.path_qs)
        return _see_other(f"{PATH}/login?next={quote(request.path_qs, safe='')}")

    def _login_page(
        self, following: str, problem: str, status: int = 200, *, foreign: bool = False
    ) -> web.Response:
        return self._answer(
            "ops/login.html", status=status, following=following, problem=problem, foreign=foreign
        )

    def _safely(self, handle: Handler) -> Handler:
        """Return a handler whose errors are pages in words."""

        async def safe(request: web.Request) -> web.StreamResponse:
            if not self._auth.has_operators:
                return self._answer("ops/nobody.html", status=403)
            try:
                return await handle(request)
            except Refused as error:
                return self._problem(request, error.status, error.detail)
            except InvalidField as error:
                return self._problem(request, 422, str(error))
            except Unavailable as error:
                log.warning("request.postponed", path=request.path, reason=str(error))
                answer = self._answer("ops/away.html", status=503, server=error.server)
                answer.headers["Retry-After"] = "2"
                return answer

        return safe

    def _problem(self, request: web.Request, status: int, detail: str) -> web.Response:
        heading = "Not shown" if request.method == "GET" else "Not done"
        known = {"status_shown": status, "detail": detail, "heading": heading}
        return self._answer("ops/problem.html", status=status, **known)

    def _answer(self, template: str, *, status: int = 200, **context: Any) -> web.Response:
        response = self._pages.answer(template, status=status, **context)
        # A form's origin would be told as "null" by a page that gives away no address at all.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def _refuse_foreign(self, request: web.Request) -> None:
        """Refuse a form that another site sends: the browser says whose it is."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site is not None:
            good = site == "same-origin"
        else:
            good = origin is not None and _is_own(origin, request, self._public_url)
        if not good:
            raise Refused(403, "foreign-form", "the form was not sent from a page of payonce")


_LOGIN_PROBLEMS = {
    "unauthorized": "This is no operator's token.",
    "too-many-attempts": "Too many wrong tokens. Wait a moment, then try again.",
}


def local_path(path: str | None) -> str | None:
    """Return a path if it leads to a page of the console and nowhere else."""
    if path is None or not path.isascii() or not path.isprintable() or "\\" in path:
        return None
    is_ours = path == PATH or path.startswith((f"{PATH}/", f"{PATH}?"))
    return path if is_ours and ".." not in path else None


def _is_own(origin: str, request: web.Request, public_url: str) -> bool:
    own = urlsplit(public_url)
    try:
        named = urlsplit(origin).netloc
    except ValueError:
        return False
    return origin == f"{own.scheme}://{own.netloc}" or named == request.host


def _is_right(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
