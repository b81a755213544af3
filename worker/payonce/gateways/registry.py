"""Which adapter serves which kind of gateway."""

from collections.abc import Mapping
from typing import assert_never

import aiohttp

from payonce.gateways.alipay import AlipayGateway
from payonce.gateways.http import HttpGateway
from payonce.gateways.paypal import PaypalGateway
from payonce.gateways.wechatpay import WechatPayGateway
from payonce.ports.gateway import Gateway
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings
from payonce.settings.kinds.alipay import AlipayCredentials
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.kinds.paypal import PaypalCredentials
from payonce.settings.kinds.stripe import StripeCredentials
from payonce.settings.kinds.wechatpay import WechatPayCredentials


def build_gateways(
    settings: Mapping[str, GatewaySettings], session: aiohttp.ClientSession, meter: GatewayMeter
) -> dict[str, Gateway]:
    """Return the gateways by name."""
    return {name: build_gateway(one, session, meter) for name, one in settings.items()}


def build_gateway(
    settings: GatewaySettings, session: aiohttp.ClientSession, meter: GatewayMeter
) -> Gateway:
    """Return one gateway: its credentials say of which kind it is."""
    credentials = settings.credentials
    match credentials:
        case HttpCredentials():
            return HttpGateway(settings, credentials, session, meter)
        case AlipayCredentials():
            return AlipayGateway(settings, credentials, session, meter)
        case StripeCredentials():
            # Its SDK takes a third of a second to import, which is for those who use it.
            from payonce.gateways.stripe import StripeGateway

            return StripeGateway(settings, credentials, session, meter)
        case PaypalCredentials():
            return PaypalGateway(settings, credentials, session, meter)
        case WechatPayCredentials():
            return WechatPayGateway(settings, credentials, session, meter)
        case _:
            assert_never(credentials)
