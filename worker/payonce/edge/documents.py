"""`GET /openapi.json` and `/asyncapi.json`: the interface, for programs to read."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from payonce.edge.asyncapi import asyncapi_document
from payonce.edge.openapi import openapi_document

DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi": openapi_document,
    "asyncapi": asyncapi_document,
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document as it is served; `tag` follows from its bytes."""

    body: bytes
    tag: str


def document_routes() -> Iterator[web.RouteDef]:
    """Yield a route for each document. Anybody may read them."""
    for name in DOCUMENTS:
        yield web.get(f"/{name}.json", _show(name))


def _show(name: str) -> Callable[[web.Request], Any]:
    async def show(request: web.Request) -> web.Response:
        """Answer with the document, or say that the asker has it."""
        document = encoded(name)
        headers = {
            "ETag": f'"{document.tag}"',
            "Cache-Control": "no-cache",
            "Access-Control-Allow-Origin": "*",
        }
        known = {one.value for one in request.if_none_match or ()}
        if known & {document.tag, "*"}:
            return web.Response(status=304, headers=headers)
        return web.Response(body=document.body, content_type="application/json", headers=headers)

    return show


@cache
def encoded(name: str) -> Encoded:
    """Return a document's bytes; it is made once a process, when it is first asked for."""
    body = msgspec.json.encode(DOCUMENTS[name]())
    return Encoded(body, hashlib.sha256(body).hexdigest()[:32])
