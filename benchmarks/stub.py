"""A gateway that costs little: the queries of CONTRACT.md section 5, nothing else.

python -m benchmarks.stub PORT

GET /charges/ID: pending for the first K queries of an id, then succeeded. An id that ends in
`.MICROSECONDS` (since 1970) was published then. POST /reset forgets everything and takes
{"pending": K, "ladder_ms": [...]}; GET /stats tells counts and, in ms, how late queries came:
`first` after publishing and the first wait, `next` after the answer before and the wait behind it.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import uvloop

AMOUNT = 1_999
CURRENCY = "CNY"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_CHARGE = (
    b'{"payment_id":"%b","gateway_ref":"ch_%b","status":"%b","amount":1999,"currency":"CNY",'
    b'"refunded":0%b}'
)


class Gateway:
    """The stub's table of charges."""

    def __init__(self) -> None:
        self.pending = 1
        self.ladder_ms = [300, 1_000]
        self._counts: dict[bytes, int] = {}
        self._answered_s: dict[bytes, float] = {}
        self._first_ms: list[float] = []
        self._next_ms: list[float] = []
        self._paid_at = (0, b"")

    def reset(self, wanted: "dict[str, Any]") -> None:
        """Forget everything and take new settings."""
        self.__init__()  # type: ignore[misc]
        self.pending = wanted.get("pending", self.pending)
        self.ladder_ms = wanted.get("ladder_ms", self.ladder_ms)

    def query(self, payment_id: bytes) -> bytes:
        """Return how a charge stands."""
        now_s = time.time()
        asked = self._counts.get(payment_id, 0)
        self._counts[payment_id] = asked + 1
        self._note_lateness(payment_id, asked, now_s)
        self._answered_s[payment_id] = now_s
        if asked < self.pending:
            return _CHARGE % (payment_id, payment_id, b"pending", b"")
        return _CHARGE % (payment_id, payment_id, b"succeeded", self._paid(now_s))

    def stats(self) -> "dict[str, Any]":
        """Return counts and lateness."""
        return {
            "queries": sum(self._counts.values()),
            "ids": len(self._counts),
            "least_queries": min(self._counts.values(), default=0),
            "extra_queries": sum(max(0, n - self.pending - 1) for n in self._counts.values()),
            "first_ms": percentiles(self._first_ms),
            "next_ms": percentiles(self._next_ms),
        }

    def _note_lateness(self, payment_id: bytes, asked: int, now_s: float) -> None:
        if asked > self.pending:
            return
        wait_ms = self.ladder_ms[min(asked, len(self.ladder_ms) - 1)]
        if asked:
            self._next_ms.append((now_s - self._answered_s[payment_id]) * 1e3 - wait_ms)
            return
        _, _, published = payment_id.rpartition(b".")
        if published.isdigit():
            self._first_ms.append(now_s * 1e3 - int(published) / 1e3 - wait_ms)

    def _paid(self, now_s: float) -> bytes:
        second, text = self._paid_at
        if second != int(now_s):
            text = b',"paid_at":"%b"' % datetime.now(UTC).isoformat().encode()
            self._paid_at = (int(now_s), text)
        return text


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests may be pipelined."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer all requests that are complete."""
        rest = self._rest + data
        answers = []
        while (taken := self._take(rest)) is not None:
            answer, rest = taken
            answers.append(_HEAD % (len(answer), answer))
        self._rest = rest
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def _take(self, data: bytes) -> tuple[bytes, bytes] | None:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return None
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/charges/"):
            return self._gateway.query(path[9:]), rest
        if path == b"/stats":
            return json.dumps(self._gateway.stats()).encode(), rest
        if path != b"/reset":
            return b"{}", rest
        length = _content_length(head)
        if len(rest) < length:
            return None
        self._gateway.reset(json.loads(rest[:length]))
        return b"{}", rest[length:]


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def percentiles(samples: list[float]) -> "dict[str, float]":
    """Return count, p50, p99 and the largest, in the samples' unit."""
    ordered = sorted(samples)
    if not ordered:
        return {"n": 0}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)

    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 2)}


async def main(port: int) -> None:
    """Serve until killed."""
    gateway = Gateway()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(gateway), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
