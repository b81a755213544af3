"""An order consumer that hands each event to an HTTP endpoint."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import structlog
from yarl import URL

from payonce.adapters.webhook import (
    WebhookPoster,
    open_session,
    private_names,
    why_failed,
)
from payonce.domain.errors import InvalidField
from payonce.domain.ladder import Ladder
from payonce.domain.signature import signing_key
from payonce.kit.consumer import DEFAULT_LADDER, PREFETCH, OrderConsumer, OrderPaid
from payonce.settings import values

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0


class WebhookSender:
    """Posts what an order consumer takes; signs it where it has a secret."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        secret: str | None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        key = None if secret is None else signing_key(secret)
        self._poster = WebhookPoster(session, check_url(url), key, now_s)

    async def send(self, event: OrderPaid) -> bool:
        """Post the CloudEvent; True on a 2xx answer. A redirect is a refusal."""
        try:
            status = await self._poster.post(event.event_id, event.body, event.traceparent)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("webhook.failed", event_id=event.event_id, reason=why_failed(error))
            return False
        taken = 200 <= status < 300
        if not taken:
            log.warning("webhook.refused", event_id=event.event_id, status=status)
        return taken


async def run_webhook_consumer(  # noqa: PLR0913 - the public knobs, all but four with defaults
    service: str,
    amqp_url: str,
    url: str,
    stop: asyncio.Event,
    *,
    secret: str | None = None,
    ladder: Ladder = DEFAULT_LADDER,
    acknowledge: bool = True,
    prefetch: int = PREFETCH,
    timeout_s: float = TIMEOUT_S,
    allow_private: bool = False,
) -> None:
    """Post every `payment.succeeded` to `url` until `stop` is set; a 2xx answer acknowledges.

    Anything else comes back on the ladder. `allow_private`: a public-looking name in `url` may lead
    into a private network. Raises InvalidField for a bad name, URL or secret, and BrokerConflict.
    """
    names = private_names(check_url(url), allow_private=allow_private)
    async with open_session(timeout_s, prefetch, names) as session:
        sender = WebhookSender(session, url, secret)
        consumer = OrderConsumer(
            service,
            amqp_url,
            sender.send,
            ladder=ladder,
            acknowledge=acknowledge,
            prefetch=prefetch,
            handler_timeout_s=timeout_s + 1,
        )
        await consumer.run(stop)


def check_url(url: str) -> str:
    """Return `url` if it is an address that may be called by HTTP, else raise InvalidField."""
    try:
        parts = URL(url)
    except ValueError:
        parts = URL()
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise InvalidField("url", f"{url[:80]!r} is not an address", "http://... or https://...")
    problem = values.never_called(url)
    if problem is not None:
        raise InvalidField("url", problem, "the address of a server")
    return url
