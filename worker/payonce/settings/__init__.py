"""The configuration: a TOML file, overridden by the environment, checked before anything starts."""

from payonce.settings.load import load_settings
from payonce.settings.model import (
    BrokerSettings,
    GatewaySettings,
    HttpSettings,
    Network,
    OrderServiceSettings,
    PollSettings,
    RefundSettings,
    SecondPayment,
    Servers,
    Settings,
    SweepSettings,
)
from payonce.settings.secret import Secret

__all__ = [
    "BrokerSettings",
    "GatewaySettings",
    "HttpSettings",
    "Network",
    "OrderServiceSettings",
    "PollSettings",
    "RefundSettings",
    "SecondPayment",
    "Secret",
    "Servers",
    "Settings",
    "SweepSettings",
    "load_settings",
]
