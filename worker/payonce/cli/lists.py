"""payonce unresolved, mismatched, unacknowledged."""

import argparse
import sys

from payonce.cli.printing import money_of, print_json, print_table
from payonce.cli.reading import check_limit, open_stories

_PAYMENT = ("payment_id", "order_id", "gateway", "money", "status")
COLUMNS = {
    "unresolved": (*_PAYMENT, "expires_at", "last_answer"),
    "mismatched": (*_PAYMENT, "mismatched", "last_answer"),
    "unacknowledged": ("order_id", "settled_by", "money", "settled_at"),
}


async def execute(arguments: argparse.Namespace) -> int:
    """Print one page of a list; the next one's cursor goes to standard error."""
    limit = check_limit(arguments.limit)
    async with open_stories() as reader:
        page = await getattr(reader, arguments.command)(limit, arguments.cursor)
    if arguments.json:
        print_json(page.items)
    else:
        rows = [{**one, "money": money_of(one)} for one in page.items]
        print_table(rows, COLUMNS[arguments.command], f"nothing is {arguments.command}")
    if page.cursor:
        print(f"more: --cursor {page.cursor}", file=sys.stderr)
    return 0
