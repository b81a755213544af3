"""payonce run."""

import argparse
import os
from collections.abc import Awaitable

from payonce.adapters.logs import configure_logs
from payonce.bootstrap import run_daemon
from payonce.bootstrap.run import ROLES
from payonce.domain.errors import InvalidField
from payonce.settings import load_settings


def execute(arguments: argparse.Namespace) -> Awaitable[int]:
    """Run the daemon."""
    roles = parse_roles(arguments.only)
    settings = load_settings(os.environ)
    configure_logs(os.environ)
    return run_daemon(settings, roles)


def parse_roles(text: str | None) -> frozenset[str]:
    """Return the roles that --only names; all without it."""
    if text is None:
        return ROLES
    roles = frozenset(one.strip() for one in text.split(","))
    if not roles <= ROLES:
        wrong = ", ".join(repr(one) for one in sorted(roles - ROLES))
        raise InvalidField("--only", f"{wrong} is no role", ", ".join(sorted(ROLES)))
    return roles
