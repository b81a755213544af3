"""Templates become pages, files become addresses that never change what they hold."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

PACKAGE = "payonce.edge.pages"
HASH_DIGITS = 12
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, nothing from elsewhere: a page's address may hold a token."""

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
FILE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=31536000, immutable",
}
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served; its address holds a hash of its content."""

    address: str
    content: bytes
    kind: str


class Pages:
    """Renders templates and serves the files they name by `static('part.css')`.

    What templates are to know everywhere is given as `known`.
    """

    def __init__(self, **known: Any) -> None:
        self._files = {name: file_of(name, content) for name, content in _contents()}
        self._served = {one.address: one for one in self._files.values()}
        self._environment = Environment(
            loader=PackageLoader(PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {"static": self.static, **known}

    def render(self, template: str, **context: Any) -> str:
        """Return what a template makes of `context`; `template`: its path below templates/."""
        return self._environment.get_template(template).render(context)

    def answer(self, template: str, *, status: int = 200, **context: Any) -> web.Response:
        """Return a page, or a part of one, with the headers that every page has."""
        return web.Response(
            status=status,
            text=self.render(template, **context),
            content_type="text/html",
            headers=PAGE_HEADERS,
        )

    def static(self, name: str) -> str:
        """Return the address of a file of static/. Raises KeyError: there is none."""
        return self._files[name].address

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the route of the static files; all parts share it."""
        yield web.get("/static/{name}", self._serve)

    async def _serve(self, request: web.Request) -> web.Response:
        found = self._served.get(request.path)
        if found is None:
            raise web.HTTPNotFound(text="there is no such file")
        return web.Response(
            body=found.content, content_type=found.kind, charset="utf-8", headers=FILE_HEADERS
        )


def file_of(name: str, content: bytes) -> StaticFile:
    """Return a file under its address: /static/<name>.<hash>.<ending>."""
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    return StaticFile(f"/static/{stem}.{digest}.{ending}", content, KINDS[ending])


def _contents() -> Iterator[tuple[str, bytes]]:
    for one in resources.files(PACKAGE).joinpath("static").iterdir():
        yield one.name, one.read_bytes()
