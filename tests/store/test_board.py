"""What every board does."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from payonce.ports.board import Board, GatewayState, JournalLine
from tests.store.making import NOW, later

ONE, TWO = str(uuid4()), str(uuid4())

MINUTE = timedelta(minutes=1)


async def test_a_pause_is_read_by_all_and_stands_in_the_journal(board: Board) -> None:
    """With who, why and since when."""
    assert await board.pause("mock", "ann", "their night of works", later(1))
    reading = await board.read(None, later(2), NOW)
    state = GatewayState("mock", later(1), "ann", "their night of works")
    assert {"mock": state} == reading.states
    assert [state] == await board.states()
    line = JournalLine("mock", later(1), "paused", "ann", "their night of works")
    assert [line] == await board.journal(["mock"], 5)


async def test_the_same_pause_again_changes_nothing(board: Board) -> None:
    """Another's word replaces who and why, and the time stays."""
    assert await board.pause("mock", "ann", "works", later(1))
    assert not await board.pause("mock", "ann", "works", later(2))
    assert await board.pause("mock", "bob", "still", later(3))
    assert [GatewayState("mock", later(1), "bob", "still")] == await board.states()
    assert ["ann", "bob"] == [one.by for one in await board.journal(["mock"], 5)]


async def test_a_resume_ends_a_pause_once(board: Board) -> None:
    """What is not paused is not resumed; the reason may be left out."""
    assert not await board.resume("mock", "ann", None, NOW)
    await board.pause("mock", "ann", "works", later(1))
    assert await board.resume("mock", "bob", None, later(2))
    assert not await board.resume("mock", "bob", "again", later(3))
    assert [GatewayState("mock")] == await board.states()
    assert [("paused", "ann", "works"), ("resumed", "bob", None)] == [
        (one.kind, one.by, one.why) for one in await board.journal(["mock"], 5)
    ]


async def test_two_openings_at_once_are_one(board: Board) -> None:
    """The second process finds it open; when that is over it counts as the next."""
    assert await board.open("mock", timedelta(0), "no-answer")
    assert await board.open("mock", MINUTE, "5xx")
    [state] = await board.states()
    assert not await board.open("mock", 2 * MINUTE, "no-answer")
    assert ([state], 2) == (await board.states(), state.openings)
    assert [("opened", "no-answer"), ("opened", "5xx")] == [
        (one.kind, one.why) for one in await board.journal(["mock"], 5)
    ]


async def test_an_opening_is_timed_by_the_board(board: Board) -> None:
    """No process's clock is asked."""
    before = datetime.now(UTC)
    await board.open("mock", MINUTE, "5xx")
    [state] = await board.states()
    assert state.open_until is not None
    assert before <= state.open_until - MINUTE <= datetime.now(UTC)


async def test_closing_forgets_the_openings(board: Board) -> None:
    """Once; a pause is another matter."""
    await board.pause("mock", "ann", "works", later(1))
    await board.open("mock", MINUTE, "5xx")
    assert await board.close("mock", later(3))
    assert not await board.close("mock", later(4))
    assert [GatewayState("mock", later(1), "ann", "works")] == await board.states()


async def test_the_living_are_counted(board: Board) -> None:
    """Who has not been seen for long, or has left, does not count; who only reads neither."""
    assert 1 == (await board.read(ONE, later(0), NOW)).workers
    assert 2 == (await board.read(TWO, later(1), NOW)).workers
    assert 2 == (await board.read(None, later(1), NOW)).workers
    assert 1 == (await board.read(TWO, later(11), later(1))).workers
    assert 2 == (await board.read(ONE, later(11), later(1))).workers
    await board.leave(TWO)
    assert 1 == (await board.read(ONE, later(11), later(1))).workers
    assert {} == (await board.read(ONE, later(11), later(1))).states


async def test_the_latest_lines_of_each_gateway_are_shown(board: Board) -> None:
    """Oldest first, and no other gateway's."""
    for n in range(4):
        await board.pause("a", "ann", f"{n}", later(n))
        await board.pause("b", "bob", f"{n}", later(n))
    lines = await board.journal(["a"], 2)
    assert [("a", "2"), ("a", "3")] == [(one.gateway, one.why) for one in lines]
    assert 4 == len(await board.journal(["a", "b", "c"], 2))
