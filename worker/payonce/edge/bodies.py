"""What stands in the body of a request."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from payonce.domain.errors import InvalidField

_ALLOWED = "a JSON object"


async def read_object(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object in a request's body, else raise InvalidField."""
    try:
        data = msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidField("body", "is not JSON", _ALLOWED) from None
    except RecursionError:
        raise InvalidField("body", "is nested too deeply", _ALLOWED) from None
    if not isinstance(data, dict):
        raise InvalidField("body", f"is {_kind(data)}", _ALLOWED)
    return data


def _kind(data: object) -> str:
    return "null" if data is None else f"a JSON {type(data).__name__}"
