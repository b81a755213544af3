"""Messages that were put aside, for commands and for the operators' routes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from payonce.adapters.postgres.reader import Page
from payonce.adapters.rabbitmq.parked import (
    MOST_REPLAYED,
    Parked,
    Replayed,
    list_parked,
    replay,
)
from payonce.adapters.rabbitmq.topology import PARKED, UNROUTED, parked_queue_name
from payonce.domain.errors import InvalidField
from payonce.domain.times import format_time, from_ms
from payonce.ports import views
from payonce.settings import Settings


@dataclass(frozen=True, slots=True)
class ParkedQueue:
    """The messages that were put aside, in payonce.parked, payonce.unrouted or NAME.parked."""

    amqp_url: str
    queue: str = PARKED

    async def list(self, limit: int = 100) -> "Sequence[Parked]":
        """Return up to `limit` parked messages, which stay where they are."""
        return await list_parked(self.amqp_url, self.queue, limit)

    async def replay(self, ids: Sequence[str] | None = None) -> Replayed:
        """Send parked messages back to where they came from; None: all of them."""
        wanted = None if ids is None else frozenset(ids)
        return await replay(
            self.amqp_url, lambda one: wanted is None or one.message_id in wanted, self.queue
        )

    async def page(self, limit: int, cursor: str | None) -> Page[views.ParkedMessage]:
        """Return a page of parked messages; the cursor counts those before it. InvalidField."""
        skip = _skip(cursor)
        found = await list_parked(self.amqp_url, self.queue, limit + 1, skip)
        more = len(found) > limit
        items = [parked_view(one) for one in found[:limit]]
        return Page(items, str(skip + limit) if more else None)

    async def send_back(self, ids: Sequence[str] | None) -> views.MessagesReplayed:
        """Replay some parked messages, None: all; return what became of it."""
        replayed = await self.replay(ids)
        left: list[views.LeftMessage] = [
            {"message_id": key, "problem": problem} for key, problem in replayed.left
        ]
        absent = len(set(ids or ())) - replayed.count - len(left)
        return {"replayed": replayed.count, "left": left, "absent": max(absent, 0)}


def parked_view(one: Parked) -> views.ParkedMessage:
    """Return a parked message as lists show it."""
    at_ms = one.parked_at_ms
    return {
        "message_id": one.message_id,
        "from": one.came_from,
        "reason": one.reason,
        "parked_at": None if at_ms is None else format_time(from_ms(at_ms)),
        "body": one.body.decode(errors="replace"),
    }


@asynccontextmanager
async def open_parked(
    settings: Settings, service: str | None = None, *, unrouted: bool = False
) -> AsyncIterator[ParkedQueue]:
    """Give the parked messages of payonce, or of the order consumer named `service`.

    `unrouted`: those of both that came due for a queue that was not there.
    """
    queue = PARKED if service is None else parked_queue_name(service)
    yield ParkedQueue(settings.servers.amqp_url, UNROUTED if unrouted else queue)


def _skip(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and int(cursor[:9]) <= MOST_REPLAYED):
        raise InvalidField("cursor", "is not one of ours", "the cursor of a page")
    return int(cursor[:9])
