"""What the configuration says, checked and typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from payonce.domain.ladder import Ladder
from payonce.domain.watch import Terms
from payonce.settings.kinds import Credentials
from payonce.settings.secret import Secret

Network: TypeAlias = IPv4Network | IPv6Network


class SecondPayment(StrEnum):
    """What happens to an earlier pending payment when another of its order starts."""

    CANCEL = "cancel"
    REUSE = "reuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the three servers are; the DSN and URLs may hold passwords."""

    postgres_dsn: str
    amqp_url: str
    redis_url: str

    def __repr__(self) -> str:
        return "Servers(***)"


@dataclass(frozen=True, slots=True)
class PollSettings:
    """The ladder and the watch of gateways that do not say otherwise."""

    ladder: Ladder
    watch_for: timedelta


@dataclass(frozen=True, slots=True)
class RefundSettings:
    """The rules of refunds; amounts in minor units by currency.

    `ladder`: waits between looks at a refund that is under way.
    """

    auto: bool
    hold_above: Mapping[str, int]
    two_people_above: Mapping[str, int]
    max_per_order: int
    max_per_hour: int
    ladder: Ladder


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """How often the sweeper looks, and how late a watch may be before it is taken for dead."""

    every: timedelta
    grace: timedelta


@dataclass(frozen=True, slots=True)
class OrderServiceSettings:
    """Where the order service is told synchronously; empty: by events only.

    `ladder`: waits after the settlement until it is told again, while it has not acknowledged.
    `timeout_s`, `max_in_flight`: of the calls to it, by one process. `allow_private`: its name may
    lead into a private network.
    """

    notify_url: str
    secret: Secret
    ladder: Ladder
    timeout_s: float
    max_in_flight: int
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The edge; `operators` maps names to tokens.

    `trusted_proxies`: networks whose X-Forwarded-For is believed.
    """

    host: str
    port: int
    public_url: str
    api_token: Secret
    operators: Mapping[str, Secret]
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """RabbitMQ's management API; empty: not used. The URL may hold a password."""

    management_url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """One gateway; `credentials` say of which kind it is. `label`: for shoppers.

    `rate_per_s`: calls of all processes together, 0: no limit. `refund_max_per_hour`: 0 holds every
    refund, None: no limit of its own. `refund_key_window`: how long it remembers a refund's id.
    `allow_private`: its name may lead into a private network.
    """

    name: str
    kind: str
    base_url: str
    credentials: Credentials
    can_close: bool
    timeout_s: float
    max_in_flight: int
    rate_per_s: float
    can_refund: bool
    refund_auto: bool
    refund_max_per_hour: int | None
    refund_key_window: timedelta
    terms: Terms
    label: str = ""
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration."""

    servers: Servers
    poll: PollSettings
    on_second_payment: SecondPayment
    refund: RefundSettings
    sweep: SweepSettings
    order_service: OrderServiceSettings
    http: HttpSettings
    broker: BrokerSettings
    gateways: Mapping[str, GatewaySettings]
