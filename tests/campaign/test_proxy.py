"""The proxy does to a connection what its mode says, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.campaign.proxy import CUT_EVERY, Link, Mode
from tests.support.ports import HOST, free_port
from tests.support.waiting import eventually

Caller = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that answers each line with the same, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the caller has said all."""
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A server behind the link."""
    echo = Echo()
    async with await asyncio.start_server(echo.answer, HOST, 0) as server:
        echo.port = server.sockets[0].getsockname()[1]
        yield echo


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    """A link to the server."""
    link = Link(echo.port)
    await link.start()
    yield link
    await link.close()


@asynccontextmanager
async def calling(link: Link) -> AsyncIterator[Caller]:
    """Give a connection through the link."""
    reader, writer = await asyncio.open_connection(HOST, link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(caller: Caller, line: bytes) -> bytes:
    """Say a line; return what is answered, nothing where the connection is at its end."""
    caller[1].write(line)
    try:
        return await caller[0].readline()
    except OSError:
        return b""


async def test_passes_on_both_ways_and_the_end(link: Link) -> None:
    """What is said is answered, a megabyte as well as a word, and the end is handed on."""
    async with calling(link) as (reader, writer):
        assert await ask((reader, writer), b"hello\n") == b"hello\n"
        long = b"x" * 60_000 + b"\n"
        writer.writelines([long] * 20)
        writer.write_eof()
        assert await reader.read() == long * 20


async def test_latency_is_added_on_each_way(link: Link) -> None:
    """A question takes twice the latency, ten at once no longer than one."""
    await link.turn(Mode.LATENCY, 0.1)
    loop = asyncio.get_running_loop()
    async with calling(link) as (reader, writer):
        began = loop.time()
        writer.write(b"one\n" * 10)
        assert await reader.readexactly(40) == b"one\n" * 10
        assert 0.2 <= loop.time() - began < 1.5


async def test_black_hole_takes_all_and_gives_it_back_later(link: Link, echo: Echo) -> None:
    """Nothing passes and nobody is told; afterwards what was said arrives, old calls and new."""
    async with calling(link) as old:
        assert await ask(old, b"before\n") == b"before\n"
        await link.turn(Mode.BLACK_HOLE)
        async with calling(link) as new:
            answers = asyncio.gather(ask(old, b"old\n"), ask(new, b"new\n"))
            await eventually(lambda: link.connections == 2)
            assert (await asyncio.wait([answers], timeout=0.3))[1] == {answers}
            assert echo.heard == [b"before\n"]
            await link.turn(Mode.PASS)
            assert list(await answers) == [b"old\n", b"new\n"]


async def test_cut_answer_was_a_request_that_was_heard(link: Link, echo: Echo) -> None:
    """So many requests are answered, then one is heard and its answer cut off."""
    await link.turn(Mode.CUT_ANSWER)
    async with calling(link) as caller:
        answers = [await ask(caller, b"please\n") for _ in range(CUT_EVERY)]
    assert answers == [b"please\n"] * (CUT_EVERY - 1) + [b""]
    assert len(echo.heard) == CUT_EVERY
    assert link.cuts == 1


async def test_refusal_resets_old_and_new(link: Link, echo: Echo) -> None:
    """Whoever is connected is reset, whoever comes too, until it is over."""
    async with calling(link) as old:
        assert await ask(old, b"before\n") == b"before\n"
        await link.turn(Mode.REFUSE)
        assert await ask(old, b"old\n") == b""
        async with calling(link) as new:
            assert await ask(new, b"new\n") == b""
    await link.turn(Mode.PASS)
    async with calling(link) as again:
        assert await ask(again, b"after\n") == b"after\n"
    assert echo.heard == [b"before\n", b"after\n"]


async def test_balances_between_those_who_answer(echo: Echo) -> None:
    """A target that is away is passed over."""
    link = Link(free_port(), echo.port)
    await link.start()
    try:
        for _ in range(4):
            async with calling(link) as caller:
                assert await ask(caller, b"who is there\n") == b"who is there\n"
    finally:
        await link.close()


async def test_nobody_behind_it_resets_the_caller() -> None:
    """Where no target takes the connection, the caller hears of it at once."""
    link = Link(free_port())
    await link.start()
    try:
        async with calling(link) as caller:
            assert await ask(caller, b"anybody\n") == b""
    finally:
        await link.close()
