"""The control API: scripts, profiles and the books, for tests and demos. Without a bearer."""

from typing import Any, TypeVar

from aiohttp import web

from gateway_mock.books import Charge
from gateway_mock.server import Mock, refund_json
from gateway_mock.shopper import parse_profile, parse_script

Shape = TypeVar("Shape", dict[str, Any], list[Any])


def control_routes(mock: Mock) -> list[web.RouteDef]:
    """Return the routes below /control."""
    control = Control(mock)
    return [
        web.get("/control/healthz", control.healthz),
        web.post("/control/scripts", control.scripts),
        web.post("/control/profile", control.profile),
        web.post("/control/charges", control.charges),
        web.post("/control/charges/{payment_id}/{act}", control.act),
        web.post("/control/refunds/{refund_id}/{act}", control.act_on_refund),
        web.get("/control/books", control.books),
        web.get("/control/queries/{payment_id}", control.queries),
        web.post("/control/reset", control.reset),
    ]


class Control:
    """What a test or a demo may do behind the gateway's counter."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock

    async def healthz(self, _request: web.Request) -> web.Response:
        """Answer that the mock is there."""
        return web.json_response({"status": "ok"})

    async def scripts(self, request: web.Request) -> web.Response:
        """Plan scripts: {payment_id: script}; charges that exist already take theirs at once."""
        data = await _body(request, dict, "an object of {payment_id: script}")
        planned = {one: parse_script(script) for one, script in data.items()}
        self._mock.scripts.update(planned)
        for payment_id, script in planned.items():
            if payment_id in self._mock.books.charges:
                self._mock.books.charges[payment_id].script = script
        return web.json_response({"planned": len(planned)})

    async def profile(self, request: web.Request) -> web.Response:
        """Set how charges without a script go."""
        self._mock.profile = parse_profile(
            await _body(request, dict, "an object of the profile's fields")
        )
        return web.json_response({"status": "ok"})

    async def charges(self, request: web.Request) -> web.Response:
        """Open charges, as a shop does that asks the gateway itself; each may hold a script."""
        opened = []
        listed = await _body(request, list, "a list of charges, each of which may hold a script")
        for number, data in enumerate(listed):
            _check_charge(data, number)
            script = data.pop("script", None)
            if script is not None:
                self._mock.scripts[data["payment_id"]] = parse_script(script)
            charge, _ = self._mock.open_charge(data)
            opened.append({"payment_id": charge.payment_id, "gateway_ref": charge.gateway_ref})
        return web.json_response(opened, status=201)

    async def act(self, request: web.Request) -> web.Response:
        """Let the shopper act now: pay, decline; or refund-outside, past payonce."""
        mock = self._mock
        charge = mock.books.find(request.match_info["payment_id"], mock.clock())
        match request.match_info["act"]:
            case "pay":
                mock.pay(charge)
            case "decline":
                mock.decline(charge)
            case "refund-outside":
                self._refund_outside(charge)
            case act:
                raise ValueError(f"{act}: known are pay, decline, refund-outside")
        return web.json_response(mock.charge_json(charge, mock.clock()))

    async def act_on_refund(self, request: web.Request) -> web.Response:
        """Let a refund succeed or fail now, with a callback; or forget it."""
        mock = self._mock
        refund = mock.books.refunds.get(request.match_info["refund_id"])
        if refund is None:
            return web.json_response({"detail": "no such refund"}, status=404)
        statuses = {"succeed": "succeeded", "fail": "failed"}
        act = request.match_info["act"]
        if act == "forget":
            refund.forgotten_at = mock.clock()
        elif act in statuses:
            refund.status, refund.turns = statuses[act], None
            mock.plan_refund_callback(mock.books.charges[refund.payment_id], refund)
        else:
            raise ValueError(f"{act}: known are succeed, fail, forget")
        return web.json_response(refund_json(refund))

    def _refund_outside(self, charge: Charge) -> None:
        refund_id = f"outside-{charge.payment_id}"
        rest = charge.captured - charge.refunded
        mock = self._mock
        refund, is_new = mock.books.refund(
            refund_id, charge.payment_id, rest, "outside", mock.clock()
        )
        if is_new:
            mock.plan_refund_callback(charge, refund)

    async def books(self, _request: web.Request) -> web.Response:
        """Return the totals, by order too, and one row a charge."""
        mock = self._mock
        now = mock.clock()
        rows = [
            _row(charge, now) | {"creates": mock.creates.get(charge.payment_id, 0)}
            for charge in mock.books.charges.values()
        ]
        balance = mock.books.balance(now) | {"callbacks_sent": mock.callbacks.sent}
        return web.json_response({"balance": balance, "charges": rows})

    async def queries(self, request: web.Request) -> web.Response:
        """Return when a charge was asked about, in ms since 1970, and when it was created."""
        charge = self._mock.books.charges.get(request.match_info["payment_id"])
        if charge is None:
            return web.json_response({"detail": "no such charge"}, status=404)
        times = [round(at * 1000) for at in charge.queried_at]
        return web.json_response(
            {"created_ms": round(charge.created_at * 1000), "queries_ms": times}
        )

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget everything; the profile is again the one that the program began with."""
        await self._mock.reset()
        return web.json_response({"status": "ok"})


async def _body(request: web.Request, kind: type[Shape], allowed: str) -> Shape:
    """Return the JSON of a body. Raises ValueError, saying what is allowed."""
    try:
        data = await request.json()
    except (ValueError, RecursionError):
        raise ValueError(f"body: is not JSON; allowed: {allowed}") from None
    if not isinstance(data, kind):
        raise ValueError(f"body: {data!r:.60} is of another shape; allowed: {allowed}")  # noqa: TRY004 - all is a ValueError
    return data


def _check_charge(data: object, number: int) -> None:
    """Raise ValueError unless `data` is an object with a payment_id that names it."""
    if not isinstance(data, dict):
        raise ValueError(f"[{number}]: {data!r:.60} is no charge; allowed: an object")  # noqa: TRY004 - all is a ValueError
    payment_id = data.get("payment_id")
    if not isinstance(payment_id, str) or not payment_id:
        raise ValueError(f"[{number}].payment_id: is missing or not text")


def _row(charge: Charge, now: float) -> dict[str, Any]:
    return {
        "payment_id": charge.payment_id,
        "order_id": charge.order_id,
        "status": charge.status(now),
        "amount": charge.amount,
        "currency": charge.currency,
        "captured": charge.captured,
        "refunded": charge.refunded,
        "queries": len(charge.queried_at),
        "refund_calls": charge.refund_calls,
        "refunds": [refund_json(one) for one in charge.refunds],
    }
