"""payonce unresolved, mismatched, unacknowledged."""

import argparse
import os
import sys

from payonce.bootstrap import open_reader
from payonce.cli.printing import print_json, print_table
from payonce.domain.errors import InvalidField
from payonce.settings import load_settings

_PAYMENT = ("payment_id", "order_id", "gateway", "amount", "currency", "status")
COLUMNS = {
    "unresolved": (*_PAYMENT, "expires_at", "last_answer"),
    "mismatched": (*_PAYMENT, "mismatched", "last_answer"),
    "unacknowledged": ("order_id", "settled_by", "amount", "currency", "settled_at"),
}
MOST = 1_000


async def execute(arguments: argparse.Namespace) -> int:
    """Print one page of a list; the next one's cursor goes to standard error."""
    if not 1 <= arguments.limit <= MOST:
        raise InvalidField("--limit", f"{arguments.limit} is out of range", f"1 to {MOST}")
    async with open_reader(load_settings(os.environ)) as reader:
        read = getattr(reader, arguments.command)
        page = await read(arguments.limit, arguments.cursor)
    if arguments.json:
        print_json(page.items)
    else:
        print_table(page.items, COLUMNS[arguments.command], f"nothing is {arguments.command}")
    if page.cursor:
        print(f"more: --cursor {page.cursor}", file=sys.stderr)
    return 0
