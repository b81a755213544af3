"""What stands in the body of a request."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from payonce.domain.errors import InvalidField

_ALLOWED = "a JSON object"
_MOST_FIELDS = 100


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


async def read_form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of a urlencoded form in a request's body; what cannot be read has none.

    The library's own reading would obey whatever charset and encoding the sender names.
    """
    text = (await request.read()).decode(errors="replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _kind(data: object) -> str:
    return "null" if data is None else f"a JSON {type(data).__name__}"
