"""Whoever listens everywhere: what processes say, what servers keep, what is served."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
from redis import asyncio as aioredis

from tests.support.canaries import Canaries
from tests.support.rabbitmq import RabbitMQ

_TEXTS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name NOT LIKE 'pg\\_%' ORDER BY 1, 2
"""


class Eavesdropper:
    """Notes in `leaks` which secrets were heard where; what may stand somewhere is said there."""

    def __init__(self, canaries: Canaries) -> None:
        self.canaries = canaries
        self.leaks: dict[str, set[str]] = {}
        self.places = 0

    def hear(self, place: str, content: bytes | str, may_hold: Iterable[str] = ()) -> None:
        """Listen to what is said in one place."""
        self.places += 1
        found = self.canaries.found_in(content) - set(may_hold)
        if found:
            self.leaks.setdefault(place, set()).update(found)

    def hear_command_lines(self) -> None:
        """Listen to what `ps` shows of every process that this one has started."""
        for one in psutil.Process().children(recursive=True):
            for name in ("cmdline", "comm"):
                try:
                    content = Path(f"/proc/{one.pid}/{name}").read_bytes()
                except OSError:
                    continue
                self.hear(f"{name} of {content[:60]!r}", content)

    def hear_files(self, folder: Path) -> None:
        """Listen to every file below a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.hear(f"file {path.name}", path.read_bytes())

    async def hear_database(self, dsn: str) -> dict[str, set[str]]:
        """Return which columns hold which secrets: some of them do on purpose."""
        connection = await asyncpg.connect(dsn)
        found: dict[str, set[str]] = {}
        try:
            for table, column in await connection.fetch(_TEXTS):
                sql = f'SELECT string_agg("{column}"::text, chr(10)) FROM "{table}"'
                told = self.canaries.found_in(await connection.fetchval(sql) or "")
                if told:
                    found[f"{table}.{column}"] = told
            self.hear("pg_stat_activity", str(await connection.fetch(_ACTIVITY)))
        finally:
            await connection.close()
        return found

    async def hear_broker(self, rabbitmq: RabbitMQ, vhost: str) -> int:
        """Listen to every message that lies in a queue, and put it back; return how many lay."""
        queues: Any = await asyncio.to_thread(rabbitmq.api, "GET", f"/api/queues/{vhost}")
        count = 0
        for queue in queues:
            path = f"/api/queues/{vhost}/{queue['name']}/get"
            wish = {"count": 500, "ackmode": "ack_requeue_true", "encoding": "auto"}
            messages: Any = await asyncio.to_thread(rabbitmq.api, "POST", path, wish)
            self.hear(f"queue {queue['name']}", f"{queue} {messages}")
            count += len(messages)
        return count

    async def hear_redis(self, url: str) -> None:
        """Listen to every key and its value, and to what Redis tells of its clients."""
        async with aioredis.from_url(url, decode_responses=False) as client:
            async for key in client.scan_iter():
                self.hear("key of Redis", key)
                value = await client.dump(key)
                self.hear(f"value of {key[:30]!r}", value or b"")
            self.hear("clients of Redis", str(await client.client_list()))

    async def ask(
        self, session: aiohttp.ClientSession, method: str, url: str, **more: Any
    ) -> tuple[int, str]:
        """Ask over HTTP and listen to the answer, headers and all; return status and body."""
        may_hold = more.pop("may_hold", ())
        async with session.request(method, url, allow_redirects=False, **more) as answer:
            body = await answer.text(errors="replace")
            content = f"{answer.reason} {dict(answer.headers)} {body}"
            self.hear(f"answer to {method} {answer.url.path}", content, may_hold)
            return answer.status, body


_ACTIVITY = "SELECT application_name, query, usename FROM pg_stat_activity"


async def say_raw(port: int, content: bytes) -> bytes:
    """Return what a port answers to bytes that need not be HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(65_536), 5)
    finally:
        writer.close()


def environment() -> dict[str, str]:
    """Return this process's environment without payonce's part of it."""
    return {name: value for name, value in os.environ.items() if "PAYONCE" not in name}
