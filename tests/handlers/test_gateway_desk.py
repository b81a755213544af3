"""The desk: who paused what and why, shown to people and programs alike."""

from datetime import timedelta

import pytest

from payonce.domain.errors import InvalidField, UnknownGateway
from payonce.handlers.gateway_desk import LINES, GatewayDesk, told
from tests.handlers.fakes import FakeClock
from tests.store.fake_board import FakeBoard
from tests.store.making import NOW


class Office:
    """A desk with two configured gateways, on a board and a clock of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.board = FakeBoard(now=self.clock.now)
        self.desk = GatewayDesk(self.board, {"mock": 0.0, "bank": 20.0}, self.clock)


@pytest.fixture
def office() -> Office:
    """A desk."""
    return Office()


async def test_configured_gateways_are_shown_though_nothing_ever_happened(office: Office) -> None:
    """By name, with their rates, as usual."""
    views = await office.desk.list()
    assert [("bank", "ok", 20.0, []), ("mock", "ok", 0.0, [])] == [
        (one["gateway"], one["state"], one["rate_per_s"], one["journal"]) for one in views
    ]


async def test_a_pause_is_shown_with_who_why_and_since_when(office: Office) -> None:
    """Also in the journal."""
    view = await office.desk.pause("mock", "ann", "their night of works")
    assert {
        "gateway": "mock",
        "configured": True,
        "state": "paused",
        "paused_by": "ann",
        "paused_why": "their night of works",
        "paused_at": "2026-03-01T08:00:00.000Z",
        "open_until": None,
        "openings": 0,
        "rate_per_s": 0.0,
        "journal": [
            {
                "at": "2026-03-01T08:00:00.000Z",
                "kind": "paused",
                "by": "ann",
                "why": "their night of works",
            }
        ],
        "changed": True,
    } == view
    assert "paused by ann since 2026-03-01T08:00:00.000Z: their night of works" == told(view)


async def test_a_resume_says_whether_there_was_a_pause(office: Office) -> None:
    """The reason may be left out."""
    await office.desk.pause("mock", "ann", "works")
    assert await office.desk.resume("mock", "bob", "done")
    view = await office.desk.resume("mock", "bob")
    assert ("ok", False, ["paused", "resumed"]) == (
        view["state"],
        view["changed"],
        [line["kind"] for line in view["journal"]],
    )


async def test_a_breaker_is_shown(office: Office) -> None:
    """Open, and then half-open until an answer comes."""
    await office.board.open("mock", timedelta(seconds=10), "5xx")
    assert "open" == (await office.desk.list())[1]["state"]
    office.clock.move(10)
    assert "half-open" == (await office.desk.list())[1]["state"]


async def test_a_gateway_that_left_the_configuration_can_be_resumed(office: Office) -> None:
    """It is known as long as the board knows it."""
    await office.board.pause("gone", "ann", "moved", NOW)
    assert {"gone": False} == {
        one["gateway"]: one["configured"]
        for one in await office.desk.list()
        if one["gateway"] == "gone"
    }
    assert "ok" == (await office.desk.resume("gone", "ann"))["state"]


async def test_an_unknown_gateway_is_refused_with_the_known_ones(office: Office) -> None:
    """And nothing is written."""
    for work in (office.desk.pause("mok", "ann", "works"), office.desk.resume("mok", "ann")):
        with pytest.raises(UnknownGateway) as caught:
            await work
        assert ("bank", "mock") == caught.value.known
    assert [] == office.board.lines


@pytest.mark.parametrize(
    ("by", "why", "field"),
    [
        ("", "works", "by"),
        ("a" * 65, "works", "by"),
        ("a\nb", "works", "by"),
        ("ann", "", "why"),
        ("ann", "  ", "why"),
        ("ann", "w" * 501, "why"),
        ("ann", "a\x1b[2Jb", "why"),
    ],
)
async def test_who_and_why_must_be_said(office: Office, by: str, why: str, field: str) -> None:
    """In one printable line each."""
    with pytest.raises(InvalidField) as caught:
        await office.desk.pause("mock", by, why)
    assert field == caught.value.field
    with pytest.raises(InvalidField):
        await office.desk.resume("mock", by, why)
    assert [] == office.board.lines


async def test_only_the_latest_lines_are_shown(office: Office) -> None:
    """Oldest first."""
    for n in range(LINES + 2):
        await office.desk.pause("mock", "ann", f"{n}")
    view = (await office.desk.list())[1]
    assert [f"{n}" for n in range(2, LINES + 2)] == [line["why"] for line in view["journal"]]
