"""payonce check."""

import argparse
import os
from dataclasses import asdict

from payonce.bootstrap import CheckResult, check
from payonce.cli.printing import print_json, shown
from payonce.settings import load_settings

_VARIABLES = {
    "postgresql": "PAYONCE_POSTGRES_DSN",
    "rabbitmq": "PAYONCE_AMQP_URL",
    "redis": "PAYONCE_REDIS_URL",
}


async def execute(arguments: argparse.Namespace) -> int:
    """Check configuration and servers; 1 where something that payonce needs is wrong."""
    settings = load_settings(os.environ)
    results = await check(settings, online=arguments.online)
    if arguments.json:
        print_json(asdict(one) for one in results)
    else:
        _print(results)
    return 0 if all(one.ok or not one.required for one in results) else 1


def _print(results: list[CheckResult]) -> None:
    width = max(len(one.name) for one in results)
    for one in results:
        detail = "" if one.detail == "ok" else shown(_told(one))
        print(f"{_word(one):<5}  {one.name:<{width}}  {detail}".rstrip())


def _word(result: CheckResult) -> str:
    if result.ok:
        return "note" if result.warning else "ok"
    return "WRONG" if result.required else "warn"


def _told(result: CheckResult) -> str:
    """Return what is wrong, and what to do where a server is away."""
    detail = result.detail.removeprefix(f"{result.name} is ")
    if result.ok:
        return detail
    if not result.required:
        detail = f"away: payonce works on, slower ({detail.removeprefix('unavailable: ')})"
    elif not detail.startswith("unavailable"):
        return detail
    variable = _VARIABLES.get(result.name)
    return f"{detail}; start it, or set {variable}" if variable else detail
