"""What stands in the body of a request, read within bounds of size and time: for every route."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from payonce.domain.errors import InvalidField
from payonce.edge.problems import Refused

MAX_BODY_BYTES = 65_536
READ_WITHIN_S = 10.0
_ALLOWED = "a JSON object"
_MOST_FIELDS = 100


async def read_body(request: web.Request) -> bytes:
    """Return the raw body. One that says it is too large is refused before it is read.

    Raises Refused where it does not come in time, HTTPRequestEntityTooLarge.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return await request.read()
    except TimeoutError:
        detail = f"the body did not come within {READ_WITHIN_S:g} s"
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "timeout", detail) from None


async def read_object(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object in a request's body, else raise InvalidField."""
    try:
        data = msgspec.json.decode(await read_body(request))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidField("body", "is not JSON", _ALLOWED) from None
    except RecursionError:
        raise InvalidField("body", "is nested too deeply", _ALLOWED) from None
    if not isinstance(data, dict):
        raise InvalidField("body", f"is {_kind(data)}", _ALLOWED)
    return data


async def read_form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of a urlencoded form in a request's body; what cannot be read has none.

    The library's own reading would obey whatever charset and encoding the sender names.
    """
    text = (await read_body(request)).decode(errors="replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _kind(data: object) -> str:
    return "null" if data is None else f"a JSON {type(data).__name__}"
