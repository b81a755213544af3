"""payonce gateways, and what `payonce check` says of them."""

import json

from tests.cli.conftest import Payonce

PAUSE = ("gateways", "pause", "mock", "--by", "ann", "--why", "their night of works")
RESUME = ("gateways", "resume", "mock", "--by", "bob")


def test_a_gateway_is_paused_shown_and_resumed(here: Payonce) -> None:
    """With who and why; doing it twice is no mistake and says so."""
    ended = here(*PAUSE)
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith("mock: paused by ann since 2")
    assert ended.out.endswith(": their night of works\n")
    assert here(*PAUSE).out.endswith("(as before)\n")

    listed = here("gateways", "list").out
    assert all(word in listed for word in ("paused", "ann", "their night of works"))
    view = json.loads(here("gateways", "list", "--json").out)
    assert ("mock", "paused", "ann") == (view["gateway"], view["state"], view["paused_by"])
    assert "mock paused by ann: their night of works" in listed

    ended = here(*RESUME)
    assert (0, "mock: ok\n") == (ended.status, ended.out)
    view = json.loads(here("gateways", "list", "--json").out)
    assert ["paused", "resumed"] == [line["kind"] for line in view["journal"]][-2:]
    assert "bob" == view["journal"][-1]["by"]


def test_check_notes_a_paused_gateway(here: Payonce) -> None:
    """It is no fault: the status stays 0."""
    before = here("check")
    assert (0, False) == (before.status, "note" in before.out)
    here(*PAUSE)
    try:
        ended = here("check")
        note = next(line for line in ended.out.splitlines() if line.startswith("note"))
        assert 0 == ended.status
        assert all(word in note for word in ("gateway mock", "paused by ann", "night of works"))
        rows = [json.loads(line) for line in here("check", "--json").out.splitlines()]
        assert [True] == [one["ok"] for one in rows if one["warning"]]
    finally:
        here(*RESUME)


def test_an_unknown_gateway_is_named_with_the_known_ones(here: Payonce) -> None:
    """Exit status 1, one line."""
    for action in ("pause", "resume"):
        ended = here("gateways", action, "mok", "--by", "ann", "--why", "works")
        line = "payonce: no gateway 'mok' is known; known: mock\n"
        assert (1, "", line) == (ended.status, ended.out, ended.err)


def test_who_and_why_must_be_usable(here: Payonce) -> None:
    """Exit status 2, naming the field and what is allowed."""
    ended = here("gateways", "pause", "mock", "--by", "", "--why", "works")
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith("payonce: by: is missing or too long; allowed: ")
    ended = here("gateways", "pause", "mock", "--by", "ann", "--why", "a\x1b[2Jb")
    assert ended.err.startswith("payonce: why: holds characters")
    assert "\x1b" not in ended.err


def test_a_database_that_is_not_migrated_is_said_to_be(payonce: Payonce) -> None:
    """Or one that is away."""
    assert 1 == payonce("gateways", "list").status
