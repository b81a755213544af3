"""payonce parked list, payonce parked replay."""

import argparse
import json
import os
import sys

from payonce.bootstrap import ParkedQueue, open_parked
from payonce.cli.printing import print_json, print_table, shown
from payonce.cli.reading import check_declared, check_limit
from payonce.domain.errors import InvalidField
from payonce.settings import load_settings

_COLUMNS = ("message_id", "parked_at", "from", "reason", "body")


async def execute(arguments: argparse.Namespace) -> int:
    """List or replay messages that were put aside."""
    if arguments.action == "list":
        check_limit(arguments.limit)
    elif bool(arguments.ids) == arguments.all:
        problem = "names messages and --all" if arguments.all else "names no message"
        raise InvalidField("parked replay", problem, "MESSAGE_ID ..., or --all")
    settings = load_settings(os.environ)
    if arguments.service is None:
        await check_declared(settings)
    async with open_parked(settings, arguments.service, unrouted=arguments.unrouted) as parked:
        if arguments.action == "list":
            return await _list(parked, arguments)
        return await _replay(parked, arguments)


async def _list(parked: ParkedQueue, arguments: argparse.Namespace) -> int:
    page = await parked.page(arguments.limit, arguments.cursor)
    rows = page.items
    if arguments.json:
        print_json(rows)
    else:
        table = [{**row, "body": _gist(row["body"])} for row in rows]
        print_table(table, _COLUMNS, f"nothing is {'unrouted' if arguments.unrouted else 'parked'}")
    if page.cursor:
        print(f"more: --cursor {page.cursor}", file=sys.stderr)
    return 0


def _gist(body: str) -> str:
    """Return what a CloudEvent is about, without its envelope; any other body as it is."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return body
    is_event = isinstance(event, dict) and "specversion" in event
    return json.dumps(event.get("data"), ensure_ascii=False) if is_event else body


async def _replay(parked: ParkedQueue, arguments: argparse.Namespace) -> int:
    replayed = await parked.replay(None if arguments.all else arguments.ids)
    print(f"replayed {replayed.count}")
    for message_id, problem in replayed.left:
        print(shown(f"left {message_id}: {problem}"), file=sys.stderr)
    absent = len(set(arguments.ids)) - replayed.count - len(replayed.left)
    if absent > 0:
        print(f"not parked: {absent} of {len(set(arguments.ids))}", file=sys.stderr)
    return 1 if replayed.left or absent > 0 else 0
