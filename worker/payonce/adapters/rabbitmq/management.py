"""RabbitMQ's management API, where it is configured: what AMQP does not tell of queues."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from payonce.domain.errors import Unavailable
from payonce.egress import CA_OPTION, CheckedResolver, tls_problem

SERVER = "rabbitmq-management"
TIMEOUT_S = 5.0
_COLUMNS = "name,messages,messages_ready,messages_unacknowledged"
_NOT_FOUND = 404
_OK = 200


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Messages of one queue: all, waiting for a consumer, and in a consumer's hands."""

    name: str
    messages: int
    ready: int
    unacked: int

    @property
    def stuck(self) -> int:
        """Messages that wait for a dead-letter target to take them; lasting, it is a fault."""
        return max(0, self.messages - self.ready - self.unacked)


class Management:
    """Asks the management API of one virtual host; `url` may hold user and password."""

    def __init__(self, url: str, amqp_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        given = URL(url)
        login = URL(amqp_url)
        user = given.user or login.user or "guest"
        password = given.password or login.password or "guest"
        self._base = given.with_user(None)
        login_bytes = base64.b64encode(f"{user}:{password}".encode())
        self._headers = {"Authorization": f"Basic {login_bytes.decode()}"}
        self._vhost = quote(login.path.removeprefix("/") or "/", safe="")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def counts(self) -> list[QueueCounts]:
        """Return the counts of every queue of the virtual host. Raises Unavailable."""
        answer = await self._get(f"api/queues/{self._vhost}?columns={_COLUMNS}")
        if not isinstance(answer, list):
            raise Unavailable(SERVER, f"{self._base} answered no list of queues")
        return [_counts(one) for one in answer]

    async def messages(self, queue: str) -> int | None:
        """Return all messages of a queue, None where there is no queue.

        The figure is some seconds old. Raises Unavailable, also before there is a figure.
        """
        name = quote(queue, safe="")
        answer = await self._get(f"api/queues/{self._vhost}/{name}?columns={_COLUMNS}")
        if answer is not None and "messages" not in answer:
            raise Unavailable(SERVER, f"no figures of {queue} yet")
        return None if answer is None else _counts(answer).messages

    async def _get(self, path: str) -> Any:
        url = URL(f"{str(self._base).rstrip('/')}/{path}", encoded=True)
        try:
            # One of the operator's own servers, as the broker is: its name may lead inside.
            resolver = CheckedResolver([self._base.host or ""])
            connector = aiohttp.TCPConnector(resolver=resolver)
            async with (
                aiohttp.ClientSession(
                    headers=self._headers, timeout=self._timeout, connector=connector
                ) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status == _NOT_FOUND:
                    return None
                if response.status != _OK:
                    raise Unavailable(SERVER, f"{self._base} answered {response.status}")
                return await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            problem = f"{self._base}: {tls_problem(error, CA_OPTION) or type(error).__name__}"
            raise Unavailable(SERVER, problem) from error


def _counts(queue: Any) -> QueueCounts:
    """Return the counts in one entry; a queue whose first statistics are not in yet has none."""
    if not isinstance(queue, dict):
        raise Unavailable(SERVER, "an entry of the list of queues is not an object")
    return QueueCounts(
        str(queue.get("name", "")),
        int(queue.get("messages", 0)),
        int(queue.get("messages_ready", 0)),
        int(queue.get("messages_unacknowledged", 0)),
    )
