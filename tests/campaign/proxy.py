"""A TCP proxy of our own: one link between two programs, which can be slow, silent, cut, closed."""

import asyncio
from contextlib import suppress
from enum import Enum

from tests.support.ports import HOST

CHUNK_BYTES = 65_536
CUT_EVERY = 8
_CHUNKS_HELD = 64


class Mode(Enum):
    """What a link does.

    LATENCY: whatever passes takes longer, in both directions. BLACK_HOLE: nothing passes, nobody is
    told; what was on its way arrives when the hole is gone, as TCP would send it again.
    CUT_ANSWER: requests pass, every so many answers one is dropped and its connection reset.
    REFUSE: connections are reset, and new ones too.
    """

    PASS = "pass"
    LATENCY = "latency"
    BLACK_HOLE = "black-hole"
    CUT_ANSWER = "cut-answer"
    REFUSE = "refuse"


class _CutError(Exception):
    """This connection is reset on purpose."""


class Link:
    """Takes connections on a port of its own and hands them to the first target that takes them.

    `targets`: ports on loopback; more than one makes it a load balancer, in turn.
    """

    def __init__(self, *targets: int) -> None:
        self.targets = targets
        self.port = 0
        self.mode = Mode.PASS
        self.latency_s = 0.0
        self.cuts = 0
        self._answers = 0
        self._turn = 0
        self._clear = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections it carries."""
        return len(self._running)

    async def start(self, port: int = 0) -> None:
        """Listen; port 0: a free one."""
        self._clear.set()
        self._server = await asyncio.start_server(self._accept, HOST, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and reset what is open."""
        if self._server is not None:
            self._server.close()
        await self._reset()

    async def turn(self, mode: Mode, latency_s: float = 0.0) -> None:
        """Behave so from now on; `latency_s`: on each way."""
        self.mode, self.latency_s = mode, latency_s
        if mode is Mode.BLACK_HOLE:
            self._clear.clear()
        else:
            self._clear.set()
        if mode is Mode.REFUSE:
            await self._reset()

    async def _reset(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.REFUSE:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            await self._clear.wait()
            far_reader, far_writer = await self._reach()
            ends.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, far_writer, is_answer=False))
                both.create_task(self._pass(far_reader, writer, is_answer=True))
        except* (_CutError, OSError):
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the next target that takes it. Raises OSError."""
        for _ in self.targets[1:]:
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection(HOST, self._next())
        self._turn += 1
        return await asyncio.open_connection(HOST, self._next())

    def _next(self) -> int:
        return self.targets[self._turn % len(self.targets)]

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Carry one direction until its end, in order, each chunk when it is due."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_HELD)
        loop = asyncio.get_running_loop()

        async def read() -> None:
            data = b"begin"
            while data:
                data = await source.read(CHUNK_BYTES)
                if is_answer and data:
                    self._count_answer()
                await held.put((loop.time() + self.latency_s, data))

        async with asyncio.TaskGroup() as halves:
            halves.create_task(read())
            halves.create_task(self._write(held, sink))

    async def _write(
        self, held: "asyncio.Queue[tuple[float, bytes]]", sink: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await held.get()
            await asyncio.sleep(due - loop.time())
            await self._clear.wait()
            if not data:
                break
            sink.write(data)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof()

    def _count_answer(self) -> None:
        if self.mode is not Mode.CUT_ANSWER:
            return
        self._answers += 1
        if self._answers % CUT_EVERY == 0:
            self.cuts += 1
            raise _CutError


async def _main(port: int, target: int) -> None:
    link = Link(target)
    await link.start(port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import sys

    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
