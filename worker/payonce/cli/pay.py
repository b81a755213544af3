"""payonce pay."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from payonce.bootstrap import publish_initiated
from payonce.cli.printing import print_json
from payonce.cli.reading import check_declared
from payonce.domain.errors import InvalidField
from payonce.domain.messages import parse_initiated
from payonce.settings import Settings, load_settings

MOST_AT_ONCE = 100_000
LEAST_RATE = 0.001


async def execute(arguments: argparse.Namespace) -> int:
    """Publish payment.initiated and print what was published."""
    _check_numbers(arguments.count, arguments.rate)
    settings = load_settings(os.environ)
    payments = [payment_of(arguments, settings) for _ in range(arguments.count)]
    await check_declared(settings)
    await publish_initiated(settings, payments, arguments.rate)
    print_json(payments)
    return 0


def _check_numbers(count: int, rate: float | None) -> None:
    if not 1 <= count <= MOST_AT_ONCE:
        raise InvalidField("--count", f"{count} is out of range", f"1 to {MOST_AT_ONCE}")
    if rate is not None and not LEAST_RATE <= rate <= MOST_AT_ONCE:
        raise InvalidField(
            "--rate", f"{rate:g} is out of range", f"{LEAST_RATE} to {MOST_AT_ONCE} per second"
        )


def payment_of(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Return one payment as the arguments describe it, checked. Raises InvalidField."""
    several = arguments.count > 1
    suffix = uuid4().hex[:12]
    payment = {
        "payment_id": _id(arguments.payment, "p", suffix, several=several),
        "order_id": _id(arguments.order, "o", suffix, several=several),
        "gateway": arguments.gateway or next(iter(settings.gateways)),
        "amount": arguments.amount,
        "currency": arguments.currency,
        "gateway_ref": arguments.gateway_ref,
        "expires_at": arguments.expires_at,
    }
    known: dict[str, timedelta] = {
        name: one.terms.watch_for for name, one in settings.gateways.items()
    }
    parse_initiated(payment, datetime.now(UTC), known)
    return {name: value for name, value in payment.items() if value is not None}


def _id(given: str | None, prefix: str, suffix: str, *, several: bool) -> str:
    if given is None:
        return f"{prefix}-{suffix}"
    return f"{given}-{suffix}" if several else given
