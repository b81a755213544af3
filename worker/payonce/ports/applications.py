"""Applications as the truth keeps them. Each method is one transaction, may raise Unavailable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from payonce.domain.application import Application, Applied
from payonce.domain.claim import Claim, Confirmation
from payonce.domain.decide import Facts
from payonce.domain.order import Order

ClaimJudge = Callable[[Order | None, Sequence[Applied], int], Claim]
"""Pure: the locked order, its unfinished payments, oldest first, and the count of all its payments
(0 where the price is given: it is not asked for) -> what becomes of it.
"""

ConfirmJudge = Callable[[Facts, Applied], Confirmation]
"""Pure: the locked rows of a payment -> the rows as they shall be."""


class Applications(Protocol):
    """Claims an order's payment before the gateway is asked, confirms it afterwards."""

    async def claim(
        self, application: Application, revive_at: datetime, judge: ClaimJudge
    ) -> Claim:
        """Lock the order (an unknown one is opened where the price is given), judge, write, commit.

        A Fresh payment is written as CREATED, with its event and entry; what it supersedes is
        marked to be closed. What is Refused leaves nothing, not even an order opened for it.
        """
        ...

    async def confirm(
        self, payment_id: str, gateway_ref: str | None, judge: ConfirmJudge
    ) -> Confirmation:
        """Lock the order and the payment, judge, write, commit.

        Where another payment takes `gateway_ref` meanwhile, `judge` is called again and knows.
        """
        ...

    async def applied(self, payment_id: str) -> tuple[Order, Applied] | None:
        """Return a payment as it stands, with its order; None where it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The request is the first with its key, or goes on where that one died.

    `since` is when the key was first seen; what must be the same at every try follows from it.
    """

    since: datetime


@dataclass(frozen=True, slots=True)
class KeyAnswered:
    """The request was answered before."""

    status: int
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key belongs to a request with another body."""


@dataclass(frozen=True, slots=True)
class KeyInHand:
    """The first request with this key is not answered yet."""


KeyFound = KeyTaken | KeyAnswered | KeyReused | KeyInHand


class Keys(Protocol):
    """Remembers what was answered to requests with an Idempotency-Key, for a time."""

    async def take(
        self, key: str, request_hash: bytes, now: datetime, leased_until: datetime
    ) -> KeyFound:
        """Take the key of a new request, or of one whose process has died."""
        ...

    async def answer(self, key: str, since: datetime, status: int, body: Mapping[str, Any]) -> None:
        """Remember the answer, unless somebody else took the key meanwhile."""
        ...

    async def release(self, key: str, leased_until: datetime) -> None:
        """Let the next repeat go on at once: there was no answer. Who took it over keeps it."""
        ...

    async def forget(self, key: str, since: datetime) -> None:
        """Forget a request that nothing came of."""
        ...

    async def expire(self, now: datetime, limit: int) -> int:
        """Delete up to `limit` keys whose time has passed; return how many."""
        ...
