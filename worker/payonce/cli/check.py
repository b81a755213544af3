"""payonce check."""

import argparse
import os

from payonce.bootstrap import check
from payonce.cli.printing import print_json
from payonce.settings import load_settings


async def execute(arguments: argparse.Namespace) -> int:
    """Check configuration and servers; 1 where something is wrong."""
    settings = load_settings(os.environ)
    results = await check(settings, online=arguments.online)
    rows = [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in results]
    if arguments.json:
        print_json(rows)
    else:
        for one in results:
            print(f"{'ok    ' if one.ok else 'WRONG '} {one.name:<20} {one.detail}")
    return 0 if all(one.ok for one in results) else 1
