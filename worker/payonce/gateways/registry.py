"""Which adapter serves which kind of gateway."""

from collections.abc import Mapping

import aiohttp

from payonce.domain.errors import BadSettings
from payonce.gateways.http import HttpGateway
from payonce.ports.gateway import Gateway
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings

ADAPTERS = {"http": HttpGateway}


def build_gateways(
    settings: Mapping[str, GatewaySettings], session: aiohttp.ClientSession, meter: GatewayMeter
) -> dict[str, Gateway]:
    """Return the gateways by name. Raises BadSettings where a kind has no adapter."""
    return {name: build_gateway(one, session, meter) for name, one in settings.items()}


def build_gateway(
    settings: GatewaySettings, session: aiohttp.ClientSession, meter: GatewayMeter
) -> Gateway:
    """Return one gateway. Raises BadSettings where its kind has no adapter."""
    adapter = ADAPTERS.get(settings.kind)
    if adapter is None:
        key = f"gateways.{settings.name}.kind"
        raise BadSettings(
            key, f"{settings.kind} is not in this version yet", ", ".join(sorted(ADAPTERS))
        )
    return adapter(settings, session, meter)
