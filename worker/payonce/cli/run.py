"""payonce run."""

import argparse
import os
from collections.abc import Awaitable

from payonce.adapters.logs import configure_logs
from payonce.bootstrap import run_daemon
from payonce.bootstrap.run import ROLES
from payonce.domain.errors import BadSettings
from payonce.settings import load_settings


def execute(arguments: argparse.Namespace) -> Awaitable[int]:
    """Run the daemon."""
    settings = load_settings(os.environ)
    roles = parse_roles(arguments.only)
    configure_logs(os.environ)
    return run_daemon(settings, roles)


def parse_roles(text: str | None) -> frozenset[str]:
    """Return the roles that --only names; all without it."""
    if text is None:
        return ROLES
    roles = frozenset(text.split(","))
    if not roles <= ROLES:
        wrong = ", ".join(sorted(roles - ROLES))
        raise BadSettings("--only", f"{wrong!r} is no role", ", ".join(sorted(ROLES)))
    return roles
