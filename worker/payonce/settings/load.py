"""From a tree of values to Settings; a key that nobody reads is an error."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from payonce.domain.errors import BadSettings, InvalidField
from payonce.domain.ids import check_id
from payonce.domain.watch import Terms
from payonce.settings import servers, values
from payonce.settings.kinds import KINDS, Credentials, Kind
from payonce.settings.model import (
    BrokerSettings,
    GatewaySettings,
    HttpSettings,
    OrderServiceSettings,
    PollSettings,
    RefundSettings,
    SecondPayment,
    Settings,
    SweepSettings,
)
from payonce.settings.sources import read_servers, read_tree
from payonce.settings.table import Table

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "pretty")
_LADDER = ["3s", "10s", "30s", "3m"]
_RETELLING_LADDER = ["4m", "10m", "10m", "10m", "10m", "10m", "1h"]
_REFUND_LADDER = ["5s", "30s", "3m", "10m", "1h"]


def load_settings(environ: Mapping[str, str], *, config_path: Path | None = None) -> Settings:
    """Return the configuration of this process. Raises BadSettings."""
    _check_logs(environ)
    root = Table("", read_tree(environ, config_path))
    poll = _poll(root.table("poll"))
    sweep = _sweep(root.table("sweep"))
    settings = Settings(
        servers=servers.read(read_servers(environ)),
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
        notify_url=table.get("notify_url", values.called(values.plain_url("http", "https")), ""),
        secret=table.get("secret", values.webhook_secret, ""),
        ladder=table.get("ladder", values.ladder, _RETELLING_LADDER),
        timeout_s=table.get("timeout", values.seconds(0.1, 60), "10s"),
        max_in_flight=table.get("max_in_flight", values.whole(1, 1_000), 50),
        allow_private=table.get("allow_private", values.flag, default=False),
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
        trusted_proxies=table.get("trusted_proxies", values.networks, []),
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
    read = values.called(values.url("http", "https", empty_ok=True))
    settings = BrokerSettings(management_url=table.get("management_url", read, ""))
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
    kind = KINDS[table.need("kind", values.choice(*KINDS))].for_table(table)
    settings = GatewaySettings(
        name=name,
        kind=kind.name,
        label=table.get("label", values.text, ""),
        base_url=_base_url(table, kind),
        credentials=kind.read(table),
        can_close=table.get("can_close", values.flag, kind.can_close),
        timeout_s=table.get("timeout_s", values.seconds(0.1, 60), 5),
        max_in_flight=table.get("max_in_flight", values.whole(1, 10_000), 200),
        rate_per_s=table.get("rate_per_s", values.number(0, 100_000), kind.rate_per_s),
        can_refund=table.get("can_refund", values.flag, kind.can_refund),
        refund_auto=table.get("refund_auto", values.flag, default=True),
        refund_max_per_hour=table.get("refund_max_per_hour", _optional_count, ""),
        refund_key_window=table.get("refund_key_window", values.duration, kind.refund_key_window),
        terms=_terms(table, poll, sweep.grace, kind),
        allow_private=table.get("allow_private", values.flag, default=False),
    )
    table.refuse_unknown()
    return settings


def _base_url(table: Table, kind: Kind[Credentials]) -> str:
    """Return where the gateway is; a kind with one well-known place need not be told."""
    read = values.called(values.url("http", "https"))
    if kind.base_url:
        return table.get("base_url", read, kind.base_url).rstrip("/")
    return table.need("base_url", read).rstrip("/")


def _optional_count(key: str, value: object) -> int | None:
    """Return a count; None where the key is empty or not there."""
    return None if value == "" else values.whole(0, 1_000_000)(key, value)


def _terms(table: Table, poll: PollSettings, grace: timedelta, kind: Kind[Credentials]) -> Terms:
    """Return how payments are watched: what the table says, else the kind, else [poll]."""
    waits = kind.ladder or [f"{wait_ms}ms" for wait_ms in poll.ladder.waits_ms]
    return Terms(
        ladder=table.get("ladder", values.ladder, list(waits)),
        watch_for=table.get(
            "watch_for", values.duration, kind.watch_for or f"{poll.watch_for.total_seconds()}s"
        ),
        lateness=table.get("lateness", values.duration, kind.lateness),
        grace=grace,
        can_close=table.get("can_close", values.flag, kind.can_close),
        captures=kind.captures,
    )
