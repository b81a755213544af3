"""payonce consume."""

import argparse
import asyncio
import os
from pathlib import Path

from payonce.adapters.logs import configure_logs
from payonce.daemon import stop_on_signals
from payonce.domain.errors import InvalidField
from payonce.kit.webhook import run_webhook_consumer
from payonce.settings import load_settings
from payonce.settings.values import ladder


async def execute(arguments: argparse.Namespace) -> int:
    """Post every payment.succeeded to a URL until a signal."""
    settings = load_settings(os.environ)
    configure_logs(os.environ)
    stop = asyncio.Event()
    stop_on_signals(stop)
    await run_webhook_consumer(
        arguments.service,
        settings.servers.amqp_url,
        arguments.url,
        stop,
        secret=_secret(arguments.secret_file),
        ladder=ladder("--ladder", arguments.ladder.split(",")),
    )
    return 0


def _secret(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidField("--secret-file", f"cannot read it: {error}", "a readable file") from None
