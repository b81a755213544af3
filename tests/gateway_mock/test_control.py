"""The mock over HTTP: its answers to a close, and what a reset forgets."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import Profile
from tests.support.waiting import eventually

CHARGE = {"payment_id": "p-1", "order_id": "o-1", "amount": 700, "currency": "CNY"}


class Caller:
    """Calls a mock as its gateway's customer and through its control API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the content of an answer."""
        async with self._session.post(self._url + path, json=body) as answer:
            return answer.status, await answer.json()

    async def balance(self) -> dict[str, Any]:
        """Return the books' totals."""
        async with self._session.get(f"{self._url}/control/books") as answer:
            balance: dict[str, Any] = (await answer.json())["balance"]
            return balance


@pytest.fixture
def mock() -> Mock:
    """A gateway that was started as one that closes nothing."""
    return Mock(make_profile=lambda: Profile(can_close=False))


@pytest.fixture
async def call(mock: Mock) -> AsyncIterator[Caller]:
    """A way to call it."""
    bearer = {"Authorization": f"Bearer {mock.secret}"}
    async with serving(mock) as url, aiohttp.ClientSession(headers=bearer) as session:
        yield Caller(url, session)


@pytest.mark.parametrize(
    ("act", "status", "told"),
    [(None, 200, "closed"), ("pay", 409, "succeeded"), ("decline", 409, "failed")],
)
async def test_close_is_answered_honestly(
    call: Caller, act: str | None, status: int, told: str
) -> None:
    """What has failed or was paid is not said to be closed."""
    await call.post("/control/profile", {})
    await call.post("/control/charges", [CHARGE])
    if act is not None:
        await call.post(f"/control/charges/p-1/{act}")

    assert (status, {"status": told}) == await call.post("/charges/p-1/close")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("charges", CHARGE, "body: {'payment_id'"),
        ("charges", {"charge": CHARGE, "script": {}}, "body: {'charge'"),
        ("charges", None, "body: is not JSON"),
        ("charges", ["p-1"], "[0]: 'p-1' is no charge"),
        ("charges", [CHARGE, {"script": {}}], "[1].payment_id: is missing"),
        ("charges", [{**CHARGE, "script": 1}], "1 is not an object"),
        ("charges", [{**CHARGE, "amount": "7"}], "amount: is not an integer"),
        ("scripts", [{"payment_id": "p-1"}], "body: [{'payment_id'"),
        ("scripts", {"p-1": []}, "[] is not an object"),
        ("profile", [], "body: [] is of another shape"),
        ("profile", {"scripts": 1}, "scripts: 1 is not of the right kind"),
        ("profile", {"scripts": [1]}, "1 is not an object"),
    ],
)
async def test_a_body_of_another_shape_is_refused(
    call: Caller, path: str, body: Any, told: str
) -> None:
    """With 422 and what is wrong, whatever the body holds."""
    status, answer = await call.post(f"/control/{path}", body)
    assert 422 == status
    assert answer["detail"].startswith(told)


async def test_reset_forgets_charges_and_scripts(call: Caller) -> None:
    """Books and plans are as at the start."""
    await call.post("/control/scripts", {"p-1": {"pays_after_s": 0}})
    await call.post("/control/charges", [CHARGE])
    assert 700 == (await call.balance())["captured"]

    assert (200, {"status": "ok"}) == await call.post("/control/reset")
    assert 0 == (await call.balance())["charges"]
    await call.post("/control/charges", [CHARGE])
    assert 0 == (await call.balance())["captured"]


async def test_reset_brings_back_the_first_profile(call: Caller, mock: Mock) -> None:
    """Not a profile set meanwhile, and with the same chances as at the start."""
    chance = mock.profile.chance.random()
    await call.post("/control/profile", {"can_close": True, "error_percent": 100})
    await call.post("/control/reset")

    assert (0.0, chance) == (mock.profile.error_percent, mock.profile.chance.random())
    await call.post("/control/charges", [CHARGE])
    assert 405 == (await call.post("/charges/p-1/close"))[0]


async def test_reset_gives_up_unsent_callbacks(call: Caller, mock: Mock) -> None:
    """What was planned or was being repeated does not come after all; the count begins anew."""
    answers: list[int] = []

    async def refuse_but_first(_request: web.Request) -> web.Response:
        answers.append(500 if answers else 200)
        return web.Response(status=answers[-1])

    app = web.Application()
    app.router.add_post("/", refuse_but_first)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    for payment_id in ("p-1", "p-2"):
        await call.post(
            "/control/charges", [{**CHARGE, "payment_id": payment_id, "notify_url": url}]
        )
        await call.post(f"/control/charges/{payment_id}/pay")
        await eventually(lambda: answers)
    await eventually(lambda: answers[:2] == [200, 500])
    later = {"payment_id": "p-3", "notify_url": url, "script": {"pays_after_s": 60}}
    await call.post("/control/charges", [{**CHARGE, **later}])
    assert (1, 2) == ((await call.balance())["callbacks_sent"], len(mock.callbacks._tasks))

    await call.post("/control/reset")
    assert (0, 0) == ((await call.balance())["callbacks_sent"], len(mock.callbacks._tasks))
    await runner.cleanup()
