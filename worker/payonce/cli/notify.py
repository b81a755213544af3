"""payonce notify."""

import argparse
import os
import sys

from payonce.bootstrap import open_notify_desk
from payonce.bootstrap.checks import migrated
from payonce.domain.errors import Conflict, InvalidField, UnknownId
from payonce.domain.ids import check_id
from payonce.domain.people import say
from payonce.settings import load_settings


async def execute(arguments: argparse.Namespace) -> int:
    """Have orders told again; each that cannot be says why, and the status is 1 then."""
    say(arguments.by)
    orders = [check_id(one, "ORDER") for one in arguments.orders]
    if bool(orders) == arguments.all:
        problem = "names orders and --all" if orders else "names no order"
        raise InvalidField("ORDER", problem, "ids of orders, or --all")
    settings = load_settings(os.environ)
    await migrated(settings.servers.postgres_dsn)
    status = 0
    async with open_notify_desk(settings) as desk:
        if arguments.all:
            print(_told(await desk.notify_all(arguments.by)))
        for order_id in orders:
            try:
                await desk.notify(order_id, arguments.by)
                print(f"{order_id} is told again now")
            except (Conflict, UnknownId) as error:
                print(f"payonce: {error}", file=sys.stderr)
                status = 1
    return status


def _told(count: int) -> str:
    """Say what the count counts: those whose turn had come are told anyway."""
    return f"all unacknowledged orders are told again now; {count} of them were not due anyway"
