"""What strangers wrote is shown to people: it moves no cursor, adds no line, turns no text."""

import argparse
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from payonce.adapters.rabbitmq.parked import Replayed
from payonce.cli import parked
from payonce.cli.main import _fail
from payonce.cli.printing import print_json, print_table
from payonce.cli.show import _lines, _print_timeline

ESCAPE = "\x1b]0;owned\x07\x1b[2J\r\x9b1A"
BARE = "\x1b]0;owned\x07\x1b[2J\x9b1A\u202e"
"""Without a space or an end of line, at which a renderer would write the text out by itself."""
HOSTILE = f"a{ESCAPE}\nb\u2028c\u202ed\x85e"


def is_still(text: str) -> bool:
    """Say whether a terminal shows every sign of a text, and obeys none but its ends of lines."""
    return all(one.isprintable() or one == "\n" for one in text)


def test_a_table_is_still(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a row, whatever stands in it."""
    print_table([{"why": HOSTILE}], ["why"], "nothing")
    out = capsys.readouterr().out
    assert is_still(out)
    assert 2 == len(out.splitlines())


def test_json_is_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Also for readers to whom more than a line feed ends a line; the text is what it was."""
    print_json([{"why": HOSTILE}, {"why": "x"}])
    out = capsys.readouterr().out
    assert is_still(out)
    assert [HOSTILE, "x"] == [json.loads(line)["why"] for line in out.splitlines()]


def test_an_order_s_story_is_still(capsys: pytest.CaptureFixture[str]) -> None:
    """Polls are told as a message carried them."""
    detail = {"polls": [[0, 0, HOSTILE]], "reason": HOSTILE}
    entry = {"at": "now", "kind": "settled", "payment_id": "p-1", "detail": detail}
    assert 2 == len(list(_lines(entry)))
    _print_timeline([entry])
    out = capsys.readouterr().out
    assert is_still(out)
    assert 2 == len(out.splitlines())


async def test_what_is_left_parked_is_told_still(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message's id and its queue are its publisher's words."""

    class Queue:
        async def replay(self, _ids: object) -> Replayed:
            return Replayed(0, ((HOSTILE, f"there is no queue {HOSTILE}"),))

    @asynccontextmanager
    async def open_parked(*_arguments: Any, **_more: Any) -> AsyncIterator[Queue]:
        yield Queue()

    monkeypatch.setattr(parked, "open_parked", open_parked)
    arguments = argparse.Namespace(
        action="replay", ids=[], all=True, service="shop", unrouted=False
    )
    assert 1 == await parked.execute(arguments)
    err = capsys.readouterr().err
    assert is_still(err)
    assert 1 == len(err.splitlines())


def test_an_error_is_one_still_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It may quote what a server said."""
    _fail(HOSTILE, 1)
    err = capsys.readouterr().err
    assert is_still(err)
    assert 1 == len(err.splitlines())


@pytest.mark.parametrize("style", ["pretty", "json"])
def test_logs_are_still(style: str) -> None:
    """One line an event in JSON; on a terminal no more than its own colours."""
    program = (
        "import sys, structlog; from payonce.adapters.logs import configure_logs;"
        f"configure_logs({{'PAYONCE_LOG_FORMAT': {style!r}, 'NO_COLOR': '1'}});"
        f"structlog.get_logger().warning('message.parked', reason={BARE!r}, id={HOSTILE!r})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        timeout=30,
        text=True,
        encoding="utf-8",
    )
    plain = run.stderr
    assert "owned" in plain
    assert "\x1b]0" not in plain
    assert "\x1b[2J" not in plain
    assert "\x9b" not in plain
    assert "\u202e" not in plain
    assert 1 == plain.count("\n")
