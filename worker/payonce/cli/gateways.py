"""payonce gateways list, pause, resume."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from payonce.bootstrap import open_desk
from payonce.bootstrap.checks import migrated
from payonce.cli.printing import print_json, print_table, shown
from payonce.handlers.gateway_desk import GatewayDesk, told
from payonce.ports import views
from payonce.settings import load_settings

_COLUMNS = ("gateway", "state", "rate", "since", "who", "why")


async def execute(arguments: argparse.Namespace) -> int:
    """Show how gateways are treated, or treat one."""
    settings = load_settings(os.environ)
    await migrated(settings.servers.postgres_dsn)
    async with open_desk(settings) as desk:
        if arguments.action == "list":
            return _list(await desk.list(), as_json=arguments.json)
        return await _treat(desk, arguments)


def _list(standings: Sequence[views.GatewayStanding], *, as_json: bool) -> int:
    if as_json:
        print_json(standings)
        return 0
    print_table([_row(one) for one in standings], _COLUMNS, "no gateway is known")
    lines = sorted(
        (line["at"], one["gateway"], line) for one in standings for line in one["journal"]
    )
    if lines:
        print()
    for at, name, line in lines:
        by = f" by {line['by']}" if line["by"] else ""
        why = f": {line['why']}" if line["why"] else ""
        print(shown(f"{at}  {name} {line['kind']}{by}{why}"))
    return 0


def _row(view: views.GatewayStanding) -> dict[str, Any]:
    rate = view["rate_per_s"]
    is_open = view["state"] in {"open", "half-open"}
    return {
        "gateway": view["gateway"] + ("" if view["configured"] else " (not configured)"),
        "state": view["state"],
        "rate": f"{rate:g}/s" if rate else None,
        "since": view["paused_at"],
        "who": "breaker" if is_open else view["paused_by"],
        "why": told(view) if is_open else view["paused_why"],
    }


async def _treat(desk: GatewayDesk, arguments: argparse.Namespace) -> int:
    name, by, why = arguments.name, arguments.by, arguments.why
    if arguments.action == "pause":
        view = await desk.pause(name, by, why)
    else:
        view = await desk.resume(name, by, why)
    note = "" if view["changed"] else " (as before)"
    print(shown(f"{name}: {told(view)}{note}"))
    return 0
