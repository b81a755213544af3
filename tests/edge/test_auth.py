"""Who may ask what."""

from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from payonce.edge.auth import Auth
from payonce.edge.problems import Refused
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret


async def key() -> bytes:
    """Return an installation's key."""
    return b"k" * 32


AUTH = Auth(HttpSettings("", 0, "http://x", Secret("api"), {"ann": Secret("a")}), key)


def asked(token: str, /, **query: str) -> web.Request:
    """Return what `Auth` reads of a request; bytes that are no UTF-8 arrive as surrogates."""
    headers = CIMultiDict({"Authorization": f"Bearer {token}"})
    request = SimpleNamespace(headers=headers, query=query, remote="192.0.2.1")
    return cast("web.Request", request)


@pytest.mark.parametrize("token", ["", "wrong", "apix", "\udcff", "a"])
async def test_a_wrong_token_is_refused(token: str) -> None:
    """Whatever bytes it is made of."""
    request = asked(token)
    with pytest.raises(Refused) as api:
        AUTH.require_api(request)
    with pytest.raises(Refused) as order:
        await AUTH.require_order(request, "o-1")
    assert [401, 401] == [api.value.status, order.value.status]


async def test_an_orders_token_opens_that_order_alone() -> None:
    """As bearer or in the query; the shop's own token opens all."""
    token = await AUTH.order_token("o-1")
    await AUTH.require_order(asked(token), "o-1")
    await AUTH.require_order(asked("", token=token), "o-1")
    await AUTH.require_order(asked("api"), "o-1")
    with pytest.raises(Refused):
        await AUTH.require_order(asked(token), "o-2")
    assert token != await AUTH.order_token("o-2")


async def test_an_operator_is_known_by_token() -> None:
    """Nobody else is."""
    assert "ann" == AUTH.require_operator(asked("a"))
    with pytest.raises(Refused):
        AUTH.require_operator(asked("api"))
