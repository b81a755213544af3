"""From a tree of values to Settings; a key that nobody reads is an error."""

import difflib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from payonce.domain.errors import BadSettings, InvalidField
from payonce.domain.ids import check_id
from payonce.domain.watch import Terms
from payonce.settings import values
from payonce.settings.model import (
    BrokerSettings,
    GatewaySettings,
    HttpSettings,
    OrderServiceSettings,
    PollSettings,
    RefundSettings,
    SecondPayment,
    Servers,
    Settings,
    SweepSettings,
)
from payonce.settings.sources import read_servers, read_tree

Value = TypeVar("Value")

KINDS = ("http", "stripe", "wechatpay", "alipay", "paypal")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "pretty")
_LADDER = ["3s", "10s", "30s", "3m"]
_RETELLING_LADDER = ["4m", "10m", "10m", "10m", "10m", "10m", "1h"]
_REFUND_LADDER = ["5s", "30s", "3m", "10m", "1h"]


class Table:
    """One table of the configuration; remembers which of its keys were asked for."""

    def __init__(self, key: str, content: object) -> None:
        if not isinstance(content, dict):
            raise BadSettings(key, "is not a table", "a table of keys")
        self._key = key
        self._content: dict[str, Any] = content
        self._asked: list[str] = []

    def get(self, name: str, read: Callable[[str, object], Value], default: object) -> Value:
        """Return the value of a key, or of its default, as `read` understands it."""
        self._asked.append(name)
        return read(self.key_of(name), self._content.get(name, default))

    def need(self, name: str, read: Callable[[str, object], Value]) -> Value:
        """Return the value of a key that has no default."""
        try:
            return self.get(name, read, None)
        except BadSettings as error:
            if name in self._content:
                raise
            raise BadSettings(error.key, "is missing", error.allowed) from None

    def table(self, name: str) -> "Table":
        """Return a table within this one; one that is not there is empty."""
        self._asked.append(name)
        return Table(self.key_of(name), self._content.get(name, {}))

    def names(self) -> list[str]:
        """Return the keys that are there."""
        return list(self._content)

    def key_of(self, name: str) -> str:
        """Return the full name of a key."""
        return f"{self._key}.{name}" if self._key else name

    def refuse_unknown(self) -> None:
        """Raise BadSettings on the first key that nobody asked for."""
        for name in self._content:
            if name not in self._asked:
                near = difflib.get_close_matches(name, self._asked, n=1)
                hint = f" (did you mean {self.key_of(near[0])}?)" if near else ""
                allowed = ", ".join(self.key_of(one) for one in sorted(self._asked))
                raise BadSettings(self.key_of(name), f"is unknown{hint}", allowed)


def load_settings(environ: Mapping[str, str], *, config_path: Path | None = None) -> Settings:
    """Return the configuration of this process. Raises BadSettings."""
    _check_logs(environ)
    root = Table("", read_tree(environ, config_path))
    poll = _poll(root.table("poll"))
    sweep = _sweep(root.table("sweep"))
    settings = Settings(
        servers=_servers(read_servers(environ)),
        poll=poll,
        on_second_payment=_on_second_payment(root.table("on_second_payment")),
        refund=_refund(root.table("refund")),
        sweep=sweep,
        order_service=_order_service(root.table("order_service")),
        http=_http(root.table("http")),
        broker=_broker(root.table("broker")),
        gateways=_gateways(root.table("gateways"), poll, sweep),
    )
    root.refuse_unknown()
    return settings


def _check_logs(environ: Mapping[str, str]) -> None:
    """Raise BadSettings on a level or format that does not exist; the logs read them themselves."""
    level, style = "PAYONCE_LOG_LEVEL", "PAYONCE_LOG_FORMAT"
    values.choice(*LOG_LEVELS)(level, environ.get(level, "").lower() or "info")
    values.choice(*LOG_FORMATS)(style, environ.get(style) or "json")


def _servers(found: Mapping[str, str]) -> Servers:
    dsn = values.url("postgresql", "postgres", socket_ok=True)
    amqp = values.url("amqp", "amqps")
    redis = values.url("redis", "rediss", "unix", socket_ok=True)
    return Servers(
        dsn("PAYONCE_POSTGRES_DSN", found["POSTGRES_DSN"]),
        amqp("PAYONCE_AMQP_URL", found["AMQP_URL"]),
        redis("PAYONCE_REDIS_URL", found["REDIS_URL"]),
    )


def _poll(table: Table) -> PollSettings:
    settings = PollSettings(
        ladder=table.get("ladder", values.ladder, _LADDER),
        watch_for=table.get("watch_for", values.duration, "2h"),
    )
    table.refuse_unknown()
    return settings


def _on_second_payment(table: Table) -> SecondPayment:
    policy = SecondPayment(
        table.get("policy", values.choice(*(one.value for one in SecondPayment)), "cancel")
    )
    table.refuse_unknown()
    return policy


def _refund(table: Table) -> RefundSettings:
    count = values.whole(0, 1_000_000)
    settings = RefundSettings(
        auto=table.get("auto", values.flag, default=True),
        hold_above=table.get("hold_above", values.limits, {}),
        two_people_above=table.get("two_people_above", values.limits, {}),
        max_per_order=table.get("max_per_order", count, 3),
        max_per_hour=table.get("max_per_hour", count, 100),
        ladder=table.get("ladder", values.ladder, _REFUND_LADDER),
    )
    table.refuse_unknown()
    return settings


def _sweep(table: Table) -> SweepSettings:
    settings = SweepSettings(
        every=table.get("every", values.duration, "60s"),
        grace=table.get("grace", values.duration, "15s"),
    )
    table.refuse_unknown()
    return settings


def _order_service(table: Table) -> OrderServiceSettings:
    settings = OrderServiceSettings(
        notify_url=table.get("notify_url", values.url("http", "https", empty_ok=True), ""),
        secret=table.get("secret", values.webhook_secret, ""),
        ladder=table.get("ladder", values.ladder, _RETELLING_LADDER),
    )
    table.refuse_unknown()
    return settings


def _http(table: Table) -> HttpSettings:
    settings = HttpSettings(
        host=table.get("host", values.text, "0.0.0.0"),  # noqa: S104 - a container's default
        port=table.get("port", values.whole(0, 65_535), 8080),
        public_url=table.get("public_url", values.url("http", "https"), "http://localhost:8080"),
        api_token=table.get("api_token", values.secret, ""),
        operators=table.get("operators", values.tokens, {}),
    )
    table.refuse_unknown()
    _refuse_shared_tokens(settings)
    return settings


def _refuse_shared_tokens(settings: HttpSettings) -> None:
    """Raise BadSettings where one token stands for two: what is done is recorded by its name."""
    owners = {settings.api_token: "http.api_token"} if settings.api_token else {}
    for name, token in settings.operators.items():
        if token in owners:
            problem = f"is the same token as {owners[token]}"
            raise BadSettings(f"http.operators.{name}", problem, "a token of its own")
        owners[token] = f"http.operators.{name}"


def _broker(table: Table) -> BrokerSettings:
    settings = BrokerSettings(
        management_url=table.get("management_url", values.url("http", "https", empty_ok=True), "")
    )
    table.refuse_unknown()
    return settings


def _gateways(
    table: Table, poll: PollSettings, sweep: SweepSettings
) -> Mapping[str, GatewaySettings]:
    if not table.names():
        raise BadSettings("gateways", "holds no gateway", "at least one table [gateways.NAME]")
    return {name: _gateway(name, table.table(name), poll, sweep) for name in table.names()}


def _gateway(name: str, table: Table, poll: PollSettings, sweep: SweepSettings) -> GatewaySettings:
    try:
        check_id(name, "gateway")
    except InvalidField as error:
        raise BadSettings(f"gateways.{name}", "is no name", error.allowed) from None
    can_close = table.get("can_close", values.flag, default=True)
    settings = GatewaySettings(
        name=name,
        kind=table.need("kind", values.choice(*KINDS)),
        base_url=table.need("base_url", values.url("http", "https")).rstrip("/"),
        secrets=table.need("secret", values.webhook_secrets),
        can_close=can_close,
        timeout_s=table.get("timeout_s", values.seconds(0.1, 60), 5),
        max_in_flight=table.get("max_in_flight", values.whole(1, 10_000), 200),
        rate_per_s=table.get("rate_per_s", values.number(0, 100_000), 0),
        can_refund=table.get("can_refund", values.flag, default=True),
        refund_auto=table.get("refund_auto", values.flag, default=True),
        refund_max_per_hour=table.get("refund_max_per_hour", _optional_count, ""),
        refund_key_window=table.get("refund_key_window", values.duration, "24h"),
        terms=_terms(table, poll, sweep.grace, can_close=can_close),
    )
    table.refuse_unknown()
    return settings


def _optional_count(key: str, value: object) -> int | None:
    """Return a count; None where the key is empty or not there."""
    return None if value == "" else values.whole(0, 1_000_000)(key, value)


def _terms(table: Table, poll: PollSettings, grace: timedelta, *, can_close: bool) -> Terms:
    waits_ms = poll.ladder.waits_ms
    return Terms(
        ladder=table.get("ladder", values.ladder, [f"{wait_ms}ms" for wait_ms in waits_ms]),
        watch_for=table.get("watch_for", values.duration, f"{poll.watch_for.total_seconds()}s"),
        lateness=table.get("lateness", values.duration, "10m"),
        grace=grace,
        can_close=can_close,
    )
