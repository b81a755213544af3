"""payonce refunds list, request, approve, reject."""

import argparse
import os
import sys

from payonce.bootstrap import open_reader, open_refund_desk
from payonce.bootstrap.checks import migrated
from payonce.cli.printing import money_of, print_json, print_table
from payonce.cli.reading import check_limit, open_stories
from payonce.domain.ids import check_id
from payonce.domain.money import check_amount
from payonce.domain.people import say
from payonce.settings import Settings, load_settings

_COLUMNS = (
    "refund_id",
    "payment_id",
    "order_id",
    "money",
    "status",
    "rule",
    "requested_by",
    "contradicted_at",
)


async def execute(arguments: argparse.Namespace) -> int:
    """List refunds, or take an operator's word about one."""
    if arguments.action == "list":
        return await _list(arguments)
    return await _act(arguments)


async def _list(arguments: argparse.Namespace) -> int:
    limit = check_limit(arguments.limit)
    status = arguments.status and arguments.status.upper()
    async with open_stories() as reader:
        page = await reader.refunds(limit, arguments.cursor, status)
    if arguments.json:
        print_json(page.items)
    else:
        nothing = "no refund waits for a person" if status is None else f"no refund is {status}"
        print_table([{**one, "money": money_of(one)} for one in page.items], _COLUMNS, nothing)
    if page.cursor:
        print(f"more: --cursor {page.cursor}", file=sys.stderr)
    return 0


async def _act(arguments: argparse.Namespace) -> int:
    """Do what was asked, and print the refund as it is then."""
    say(arguments.by, getattr(arguments, "why", "-"))
    about = check_id(arguments.id, arguments.kind)
    if arguments.amount is not None:
        check_amount(arguments.amount, "--amount")
    settings = load_settings(os.environ)
    await migrated(settings.servers.postgres_dsn)
    async with open_refund_desk(settings) as desk:
        match arguments.action:
            case "request":
                about = await desk.request(about, arguments.amount, arguments.by, arguments.why)
            case "approve":
                await desk.approve(about, arguments.by)
            case _:
                await desk.reject(about, arguments.by, arguments.why)
    await print_refund(settings, about)
    return 0


async def print_refund(settings: Settings, refund_id: str) -> None:
    """Print a refund as one JSON object."""
    async with open_reader(settings) as reader:
        view = await reader.refund(refund_id)
    print_json([view] if view else [])
