"""The HTTP client that all gateways share: pooled, bounded, following nobody."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from payonce.egress import CA_OPTION, AddressRefused, CheckedResolver, tls_problem

MAX_ANSWER_BYTES = 65_536
LONGEST_RETRY_AFTER_S = 3_600.0
_MAX_CONNECTIONS = 1_000
_IDLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP call was answered; names of headers in any case."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class NoAnswer(Exception):
    """The call was not answered; `sent` says whether it may have reached the gateway."""

    def __init__(self, problem: str, *, sent: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.sent = sent


@asynccontextmanager
async def open_session(private_names: Iterable[str] = ()) -> AsyncIterator[aiohttp.ClientSession]:
    """Give the session of one process: no cookies, no proxies, no redirects, idle ones dropped.

    `private_names`: those that may lead into a private network (`egress.CheckedResolver`).
    """
    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(private_names),
        limit=_MAX_CONNECTIONS,
        limit_per_host=0,
        keepalive_timeout=_IDLE_S,
        ttl_dns_cache=60,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
    ) as session:
        yield session


async def call(  # noqa: PLR0913 - the parts of a request
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    limit: aiohttp.ClientTimeout,
    body: bytes | None = None,
) -> Answer:
    """Return the answer, read to 64 KiB at most. Raises NoAnswer."""
    if session.closed:
        raise NoAnswer("the client is closed", sent=False)
    try:
        async with session.request(
            method, url, headers=headers, data=body, timeout=limit, allow_redirects=False
        ) as response:
            content = await _read(response)
            after = response.headers.get("Retry-After")
            wait_s = _retry_after_s(after) if after else None
            return Answer(response.status, content, wait_s, response.headers)
    except aiohttp.ClientConnectorError as error:
        raise NoAnswer(f"cannot connect: {_why(error.os_error)}", sent=False) from None
    except TimeoutError:
        raise NoAnswer("timed out", sent=True) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NoAnswer(f"broke off: {type(error).__name__}", sent=True) from None


def _why(error: OSError) -> str:
    """Return why there is no connection; nothing of it is secret."""
    if isinstance(error, AddressRefused):
        return str(error)
    return tls_problem(error, CA_OPTION) or type(error).__name__


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_ANSWER_BYTES:
        return await response.read()
    content = b""
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            response.close()
            raise NoAnswer(f"answered more than {MAX_ANSWER_BYTES} bytes", sent=True)
    return content


def _retry_after_s(value: str) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3), an hour at most."""
    try:
        wait_s = float(value) if value.strip().isdigit() else _until(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(wait_s, 0.0), LONGEST_RETRY_AFTER_S)


def _until(value: str) -> float:
    time = parsedate_to_datetime(value)
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (time - datetime.now(UTC)).total_seconds()
