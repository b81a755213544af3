"""payonce consume."""

import argparse
import asyncio
import os
from pathlib import Path

from payonce.adapters.logs import configure_logs
from payonce.daemon import stop_on_signals
from payonce.domain.errors import BadSettings, InvalidField
from payonce.domain.ladder import Ladder
from payonce.kit.webhook import run_webhook_consumer
from payonce.settings import Secret, load_settings, values


async def execute(arguments: argparse.Namespace) -> int:
    """Post every payment.succeeded to a URL until a signal."""
    ladder = _ladder(arguments.ladder)
    settings = load_settings(os.environ)
    secret = _secret(arguments.secret_file, settings.order_service.secret)
    configure_logs(os.environ)
    stop = asyncio.Event()
    stop_on_signals(stop)
    await run_webhook_consumer(
        arguments.service,
        settings.servers.amqp_url,
        arguments.url,
        stop,
        secret=secret,
        ladder=ladder,
        acknowledge=arguments.acknowledge,
        allow_private=settings.order_service.allow_private,
    )
    return 0


def _ladder(text: str) -> Ladder:
    try:
        return values.ladder("--ladder", text.split(","))
    except BadSettings as error:
        raise InvalidField(error.key, error.problem, error.allowed) from None


def _secret(path: str | None, configured: Secret) -> str | None:
    if path is None:
        return configured.reveal() or None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        problem = f"cannot read {path}: {reason}"
        raise InvalidField("--secret-file", problem, "a readable file") from None
