"""payonce webhooks list, payonce webhooks replay."""

import argparse
import os
import sys

from payonce.adapters.clock import SystemClock
from payonce.adapters.postgres.inbox import InboxDesk
from payonce.bootstrap import open_inbox
from payonce.cli.printing import print_json, print_table
from payonce.cli.reading import check_limit
from payonce.domain.errors import InvalidField
from payonce.ports.inbox import Which
from payonce.settings import load_settings

_COLUMNS = ("inbox_id", "gateway", "payment_id", "received_at", "processed_at", "problem", "body")
_LARGEST_ID = 2**63 - 1


async def execute(arguments: argparse.Namespace) -> int:
    """List callbacks, or have them applied again."""
    if arguments.action == "list":
        check_limit(arguments.limit)
        ids = []
    else:
        ids = _ids(arguments)
    async with open_inbox(load_settings(os.environ)) as desk:
        if arguments.action == "list":
            return await _list(desk, arguments)
        return await _replay(desk, ids)


async def _list(desk: InboxDesk, arguments: argparse.Namespace) -> int:
    which = Which.UNPROCESSED if arguments.unprocessed else Which.ALL
    which = Which.PROBLEMS if arguments.problems else which
    page = await desk.list(which, arguments.limit, arguments.cursor)
    if arguments.json:
        print_json(page.items)
    else:
        print_table(page.items, _COLUMNS, "no callbacks")
    if page.cursor:
        print(f"more: --cursor {page.cursor}", file=sys.stderr)
    return 0


def _ids(arguments: argparse.Namespace) -> list[int]:
    """Return the callbacks that are named; none: all. Raises InvalidField."""
    if bool(arguments.ids) == arguments.all:
        problem = "names callbacks and --all" if arguments.all else "names no callback"
        raise InvalidField("webhooks replay", problem, "INBOX_ID ..., or --all")
    return [_id(text) for text in arguments.ids]


def _id(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID:
        return int(text)
    raise InvalidField("INBOX_ID", f"{text[:60]!r} is not a whole number", "as the list shows it")


async def _replay(desk: InboxDesk, ids: list[int]) -> int:
    now = SystemClock().now()
    if not ids:
        print(f"replayed {await desk.replay_waiting(now)}")
        return 0
    found = await desk.replay(ids, now)
    print(f"replayed {len(found)}")
    for inbox_id in sorted(set(ids) - found):
        print(f"not kept: {inbox_id}", file=sys.stderr)
    return 0 if found == set(ids) else 1
