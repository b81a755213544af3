"""An event posted to an HTTP endpoint, signed by Standard Webhooks (standardwebhooks.com)."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from payonce.adapters.codec import CLOUDEVENT, check_traceparent, encode_event
from payonce.domain.events import Event
from payonce.domain.signature import sign
from payonce.egress import CA_OPTION, AddressRefused, CheckedResolver, tls_problem
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome

_AWAY = frozenset({429, 502, 503, 504})
_IDLE_S = 4.0
"""Idle connections are left before common servers close them, after 5 s: a call would fail."""


@asynccontextmanager
async def open_session(
    timeout_s: float, max_in_flight: int, private_names: Iterable[str] = ()
) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session for one endpoint: bounded in time and connections, no cookies, no proxies.

    `private_names`: those that may lead into a private network (`egress.CheckedResolver`).
    """
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        connector=aiohttp.TCPConnector(
            resolver=CheckedResolver(private_names), limit=max_in_flight, keepalive_timeout=_IDLE_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "payonce"},
        trust_env=False,
    ) as session:
        yield session


def private_names(url: str, *, allow_private: bool) -> tuple[str, ...]:
    """Return the name in `url` where it may lead into a private network."""
    host = URL(url).host
    return (host,) if allow_private and host else ()


async def connect_problem(url: str, timeout_s: float, *, allow_private: bool) -> str | None:
    """Return why the host of `url` takes no connection, TLS included; None: it does.

    Nothing is posted: whatever the host books on a call stays as it is.
    """
    found = urlsplit(url)
    is_tls = found.scheme == "https"
    try:
        host, port = found.hostname, found.port or (443 if is_tls else 80)
        async with asyncio.timeout(timeout_s):
            resolver = CheckedResolver(private_names(url, allow_private=allow_private))
            await resolver.resolve(host or "", port, socket.AF_UNSPEC)
            _, writer = await asyncio.open_connection(host, port, ssl=is_tls or None)
    except TimeoutError:
        return f"{found.hostname} takes no connection within {timeout_s:g} s"
    except (OSError, ValueError) as error:
        problem = tls_problem(error, CA_OPTION) or f"{type(error).__name__}: {error}"
        return f"{found.hostname} takes no connection: {problem}"
    writer.close()
    return None


class WebhookPoster:
    """Posts events to one endpoint; without a key nothing is signed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        key: bytes | None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._url = url
        self._key = key
        self._now_s = now_s

    @property
    def address(self) -> str:
        """Where it posts to, without user and query."""
        scheme, host, path, _, _ = urlsplit(self._url)
        return urlunsplit((scheme, host.rpartition("@")[2], path, "", ""))

    async def notify(self, event: Event) -> NoticeAnswer:
        """Post an event as the bus tells it; `ports.notifier.Notifier`."""
        try:
            status = await self.post(event.event_id, encode_event(event), event.traceparent)
        except TimeoutError:
            return NoticeAnswer(NoticeOutcome.TIMEOUT, reason="no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NoticeAnswer(NoticeOutcome.FAILED, reason=why_failed(error))
        return NoticeAnswer(_outcome_of(status), status)

    async def post(self, event_id: str, body: bytes, traceparent: str | None) -> int:
        """Return the status that a CloudEvent is answered with; the answer's body is not read.

        No redirect is followed. Raises aiohttp.ClientError, OSError, TimeoutError, and ValueError
        where the session is closed.
        """
        headers = self._headers(event_id, body, traceparent)
        if self._session.closed:
            raise ValueError("the session is closed")
        async with self._session.post(
            self._url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            return answer.status

    def _headers(self, event_id: str, body: bytes, traceparent: str | None) -> dict[str, str]:
        headers = {"Content-Type": CLOUDEVENT}
        trace = check_traceparent(traceparent)
        if trace is not None:
            headers["traceparent"] = trace
        if self._key is not None:
            headers |= sign(self._key, event_id, int(self._now_s()), body)
        return headers


def why_failed(error: Exception) -> str:
    """Return why a call was not answered: by name, in words where a name or TLS was refused."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressRefused):
        return str(cause)
    return tls_problem(cause, CA_OPTION) or type(error).__name__


def _outcome_of(status: int) -> NoticeOutcome:
    if 200 <= status < 300:
        return NoticeOutcome.OK
    return NoticeOutcome.FAILED if status in _AWAY else NoticeOutcome.REFUSED
