"""payonce resolve."""

import argparse
import os

from payonce.bootstrap import open_reader, open_refund_desk
from payonce.bootstrap.checks import migrated
from payonce.cli.printing import print_json
from payonce.cli.refunds import print_refund
from payonce.domain.ids import check_id
from payonce.domain.people import check_resolved_as, say
from payonce.settings import load_settings


async def execute(arguments: argparse.Namespace) -> int:
    """End an entry of a list, and print the refund or payment as it is then."""
    about = check_id(arguments.id, "ID")
    resolved_as = check_resolved_as(arguments.resolved_as)
    say(arguments.by, arguments.why)
    settings = load_settings(os.environ)
    await migrated(settings.servers.postgres_dsn)
    async with open_refund_desk(settings) as desk:
        refund_id = await desk.resolve(about, resolved_as, arguments.by, arguments.why)
    if refund_id is not None:
        await print_refund(settings, refund_id)
        return 0
    async with open_reader(settings) as reader:
        view = await reader.payment(about)
    print_json([view] if view else [])
    return 0
