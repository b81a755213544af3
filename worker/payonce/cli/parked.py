"""payonce parked list, payonce parked replay."""

import argparse
import os
import sys
from typing import Any

from payonce.bootstrap import ParkedQueue, open_parked
from payonce.cli.printing import print_json, print_table
from payonce.domain.errors import InvalidField
from payonce.settings import load_settings


async def execute(arguments: argparse.Namespace) -> int:
    """List or replay messages that were put aside."""
    async with open_parked(load_settings(os.environ), arguments.service) as parked:
        if arguments.action == "list":
            return await _list(parked, arguments)
        return await _replay(parked, arguments)


async def _list(parked: ParkedQueue, arguments: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = [
        {
            "message_id": one.message_id,
            "from": one.came_from,
            "reason": one.reason,
            "body": one.body.decode(errors="replace"),
        }
        for one in await parked.list(arguments.limit)
    ]
    if arguments.json:
        print_json(rows)
    else:
        print_table(rows, ("message_id", "from", "reason", "body"), "nothing is parked")
    return 0


async def _replay(parked: ParkedQueue, arguments: argparse.Namespace) -> int:
    if bool(arguments.ids) == arguments.all:
        raise InvalidField("parked replay", "says not what to replay", "MESSAGE_ID..., or --all")
    replayed = await parked.replay(None if arguments.all else arguments.ids)
    print(f"replayed {replayed.count}")
    for message_id, problem in replayed.left:
        print(f"left {message_id}: {problem}", file=sys.stderr)
    return 1 if replayed.left else 0
