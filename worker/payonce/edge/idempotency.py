"""Idempotency-Key: a repeated POST gets the answer that the first one got, for 24 hours."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import msgspec
import structlog
from aiohttp import web

from payonce.domain.errors import InvalidField, Unavailable
from payonce.domain.ids import payment_id
from payonce.edge.leftovers import Leftovers, Note
from payonce.edge.problems import Refused
from payonce.ports.applications import KeyAnswered, KeyInHand, KeyReused, Keys, KeyTaken
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255

Work = Callable[[str], Awaitable[web.Response]]
"""Answers a request, given the id of the payment that shall come of it."""

_encoder = msgspec.json.Encoder(order="sorted")


class Idempotency:
    """Runs a request's work once for each key. `lease_s`: longer than any request takes."""

    def __init__(self, keys: Keys, clock: Clock, lease_s: float) -> None:
        self._keys = keys
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._leftovers = Leftovers(clock)

    async def run(self, request: web.Request, scope: str, data: object, work: Work) -> web.Response:
        """Return the answer to a request with `data`; `scope` keeps the keys of routes apart.

        Raises Refused where the key was used with other data, or its first request is in hand.
        """
        given = request.headers.get(HEADER)
        if given is None:
            return await work(payment_id(uuid4().hex))
        key = f"{scope}:{_digest(_check(given)).hex()}"
        now = self._clock.now()
        until = now + self._lease
        try:
            found = await self._keys.take(key, _digest(_encoder.encode(data)), now, until)
        except Unavailable:
            # It may be taken, and nobody works on it.
            self._leftovers.add(partial(self._keys.release, key, until), until)
            raise
        match found:
            case KeyReused():
                problem = f"this {HEADER} came with another body before; use a new one"
                raise Refused(422, "idempotency-key-reused", problem)
            case KeyInHand():
                problem = f"the first request with this {HEADER} is not answered yet; try again"
                raise Refused(409, "in-hand", problem)
            case KeyAnswered():
                return _replayed(found)
            case KeyTaken():
                return await self._answer_once(key, found, until, work)

    async def _answer_once(
        self, key: str, taken: KeyTaken, until: datetime, work: Work
    ) -> web.Response:
        """Do the work and remember its answer; without one, the next repeat goes on."""
        release = partial(self._keys.release, key, until)
        try:
            # Where the first try died, this one comes to the same payment.
            response = await work(payment_id(f"{key}/{taken.since.isoformat()}"))
        except InvalidField:
            await self._note(partial(self._keys.forget, key, taken.since), until)
            raise
        except Exception:
            await self._note(release, until)
            raise
        if response.status == 503:
            await self._note(release, until)
            return response
        answer = {"text": response.text, "content_type": response.content_type}
        await self._note(
            partial(self._keys.answer, key, taken.since, response.status, answer), until
        )
        return response

    async def _note(self, end: Note, until: datetime) -> None:
        """Note what became of a key; where that fails, behind the request.

        So a repeat need not wait for the lease to pass, unless the process dies.
        """
        try:
            await end()
        except Unavailable as error:
            log.warning("idempotency_key.left", reason=str(error))
            self._leftovers.add(end, until)


def _replayed(found: KeyAnswered) -> web.Response:
    return web.Response(
        status=found.status,
        text=found.answer["text"],
        content_type=found.answer["content_type"],
        headers={REPLAYED: "true"},
    )


def _check(given: str) -> bytes:
    if not 1 <= len(given) <= LONGEST_KEY or not (given.isascii() and given.isprintable()):
        raise InvalidField(HEADER, "is not usable", f"1 to {LONGEST_KEY} printable ASCII signs")
    return given.encode()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
