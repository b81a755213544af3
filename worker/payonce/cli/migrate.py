"""payonce migrate."""

import argparse
import os

from payonce.bootstrap import migrate
from payonce.settings import load_settings

_GRANTED = "payonce_app and payonce_reader have their rights"
_NOT_GRANTED = "not granted, since this login may not do that; docs/database.md says who does"


async def execute(_arguments: argparse.Namespace) -> int:
    """Bring database and broker up to date and say what was done."""
    report = await migrate(load_settings(os.environ))
    for name in report.applied:
        print(f"applied {name}")
    print(f"database: {len(report.applied) or 'no'} new migrations")
    print(f"roles: {_GRANTED if report.granted else _NOT_GRANTED}")
    print(f"broker: {report.declared} queues declared")
    return 0
