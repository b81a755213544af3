"""Every key: read from the file, from the environment, with its default."""

import json
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from payonce.settings import SecondPayment, Secret, Settings, load_settings
from tests.settings.reading import SECRET, SMALLEST, read, variable_of

OTHER_SECRET = "whsec_YW5vdGhlci1zZWNyZXQtYW5vdGhlcg=="

KEYS: list[tuple[str, Any, str, Any]] = [
    ("poll.ladder", ["1s", "250ms"], "poll.ladder.waits_ms", (1_000, 250)),
    ("poll.watch_for", "30m", "poll.watch_for", timedelta(minutes=30)),
    ("on_second_payment.policy", "allow", "on_second_payment", SecondPayment.ALLOW),
    ("refund.auto", False, "refund.auto", False),
    ("refund.hold_above", {"EUR": 5, "JPY": 0}, "refund.hold_above", {"EUR": 5, "JPY": 0}),
    ("refund.two_people_above", {"EUR": 7}, "refund.two_people_above", {"EUR": 7}),
    ("refund.max_per_order", 9, "refund.max_per_order", 9),
    ("refund.max_per_hour", 0, "refund.max_per_hour", 0),
    ("sweep.every", "1.5s", "sweep.every", timedelta(seconds=1.5)),
    ("sweep.grace", "2m", "sweep.grace", timedelta(minutes=2)),
    ("order_service.ladder", ["1s", "2m"], "order_service.ladder.waits_ms", (1_000, 120_000)),
    ("order_service.timeout", "2.5s", "order_service.timeout_s", 2.5),
    ("order_service.max_in_flight", 7, "order_service.max_in_flight", 7),
    ("order_service.allow_private", True, "order_service.allow_private", True),
    ("order_service.secret", SECRET, "order_service.secret", Secret(SECRET)),
    ("http.host", "127.0.0.1", "http.host", "127.0.0.1"),
    ("http.port", 65_535, "http.port", 65_535),
    ("http.public_url", "https://pay.example", "http.public_url", "https://pay.example"),
    ("http.api_token", "t0", "http.api_token", Secret("t0")),
    (
        "http.trusted_proxies",
        ["10.0.0.0/8", "fd12::1"],
        "http.trusted_proxies",
        (ip_network("10.0.0.0/8"), ip_network("fd12::1")),
    ),
    ("http.operators", {"ann": "t1"}, "http.operators", {"ann": Secret("t1")}),
    (
        "broker.management_url",
        "http://u:p@b:15672/",
        "broker.management_url",
        "http://u:p@b:15672/",
    ),
    ("gateways.mock.kind", "http", "gateways.mock.kind", "http"),
    ("gateways.mock.base_url", "https://g/v1/", "gateways.mock.base_url", "https://g/v1"),
    (
        "gateways.mock.secret",
        [OTHER_SECRET, SECRET],
        "gateways.mock.credentials.secrets",
        (Secret(OTHER_SECRET), Secret(SECRET)),
    ),
    ("gateways.mock.can_close", False, "gateways.mock.can_close", False),
    ("gateways.mock.can_close", False, "gateways.mock.terms.can_close", False),
    ("gateways.mock.timeout_s", 0.5, "gateways.mock.timeout_s", 0.5),
    ("gateways.mock.timeout_s", "1500ms", "gateways.mock.timeout_s", 1.5),
    ("gateways.mock.allow_private", True, "gateways.mock.allow_private", True),
    ("gateways.mock.max_in_flight", 1, "gateways.mock.max_in_flight", 1),
    ("gateways.mock.ladder", ["7s"], "gateways.mock.terms.ladder.waits_ms", (7_000,)),
    ("gateways.mock.watch_for", "1d", "gateways.mock.terms.watch_for", timedelta(days=1)),
    ("gateways.mock.lateness", "90s", "gateways.mock.terms.lateness", timedelta(seconds=90)),
]

_OF_KEY = pytest.mark.parametrize(
    ("key", "value", "place", "meaning"), KEYS, ids=[f"{one[0]}={one[1]}" for one in KEYS]
)


def find(settings: Settings, place: str) -> Any:
    """Return what stands at a dotted place of the settings."""
    found: Any = settings
    for name in place.split("."):
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    return found


def _line(key: str, value: object) -> str:
    """Return a key and its value as TOML."""
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items())
        return f"{key} = {{ {inner} }}\n"
    return f"{key} = {json.dumps(value)}\n"


@_OF_KEY
def test_file_sets_every_key(
    tmp_path: Path, key: str, value: object, place: str, meaning: object
) -> None:
    """A key of the file reaches the settings with its meaning."""
    rest = [line for line in SMALLEST.splitlines() if not line.startswith(f"{key} =")]
    text = "\n".join(rest) + "\n" + _line(key, value)

    assert meaning == find(read(tmp_path, text), place)


@_OF_KEY
def test_environment_overrides_every_key(
    tmp_path: Path, key: str, value: object, place: str, meaning: object
) -> None:
    """A variable takes the place of the file's key; lists and tables are JSON."""
    given = value if isinstance(value, str) else json.dumps(value)

    assert meaning == find(read(tmp_path, **{variable_of(key): given}), place)


@_OF_KEY
def test_file_named_by_a_variable_sets_every_key(
    tmp_path: Path, key: str, value: object, place: str, meaning: object
) -> None:
    """A value can come from a file; its trailing newline is no part of it."""
    path = tmp_path / "value"
    path.write_text((value if isinstance(value, str) else json.dumps(value)) + "\n")

    assert meaning == find(read(tmp_path, **{f"{variable_of(key)}_FILE": str(path)}), place)


DEFAULTS: list[tuple[str, Any]] = [
    ("servers.postgres_dsn", "postgresql://postgres@127.0.0.1:5432/postgres"),
    ("servers.amqp_url", "amqp://guest:guest@127.0.0.1:5672/"),
    ("servers.redis_url", "redis://127.0.0.1:6379/0"),
    ("poll.ladder.waits_ms", (3_000, 10_000, 30_000, 180_000)),
    ("poll.watch_for", timedelta(hours=2)),
    ("on_second_payment", SecondPayment.CANCEL),
    ("refund.auto", True),
    ("refund.hold_above", {}),
    ("refund.two_people_above", {}),
    ("refund.max_per_order", 3),
    ("refund.max_per_hour", 100),
    ("sweep.every", timedelta(seconds=60)),
    ("sweep.grace", timedelta(seconds=15)),
    ("order_service.notify_url", ""),
    ("order_service.secret", Secret("")),
    ("order_service.timeout_s", 10.0),
    ("order_service.max_in_flight", 50),
    ("http.host", "0.0.0.0"),
    ("http.port", 8080),
    ("http.public_url", "http://localhost:8080"),
    ("http.api_token", Secret("")),
    ("http.operators", {}),
    ("broker.management_url", ""),
    ("gateways.mock.can_close", True),
    ("gateways.mock.timeout_s", 5.0),
    ("gateways.mock.max_in_flight", 200),
    ("gateways.mock.terms.ladder.waits_ms", (3_000, 10_000, 30_000, 180_000)),
    ("gateways.mock.terms.watch_for", timedelta(hours=2)),
    ("gateways.mock.terms.lateness", timedelta(minutes=10)),
    ("gateways.mock.terms.grace", timedelta(seconds=15)),
]


@pytest.mark.parametrize(("place", "default"), DEFAULTS)
def test_absent_keys_have_their_defaults(tmp_path: Path, place: str, default: object) -> None:
    """A file with one gateway is a whole configuration."""
    assert default == find(read(tmp_path), place)


def test_gateway_takes_ladder_and_watch_from_poll(tmp_path: Path) -> None:
    """A gateway without a ladder and watch_for of its own uses those of [poll]."""
    settings = read(tmp_path, POLL__LADDER='["1s", "2s"]', POLL__WATCH_FOR="45m")

    terms = settings.gateways["mock"].terms
    assert ((1_000, 2_000), timedelta(minutes=45)) == (terms.ladder.waits_ms, terms.watch_for)


def test_an_address_to_call_stands_beside_a_secret(tmp_path: Path) -> None:
    """In the file, in a variable, in a file that a variable names."""
    url = "https://o/paid?shop=1"
    (tmp_path / "url").write_text(f"{url}\n")
    both = f'{SMALLEST}order_service = {{ notify_url = "{url}", secret = "{SECRET}" }}\n'
    found = [
        read(tmp_path, both),
        read(tmp_path, ORDER_SERVICE__NOTIFY_URL=url, ORDER_SERVICE__SECRET=SECRET),
        read(
            tmp_path,
            ORDER_SERVICE__NOTIFY_URL_FILE=str(tmp_path / "url"),
            ORDER_SERVICE__SECRET=SECRET,
        ),
    ]
    assert [url] * 3 == [one.order_service.notify_url for one in found]


@pytest.mark.parametrize("policy", ["cancel", "reuse", "allow"])
def test_every_policy_is_known(tmp_path: Path, policy: str) -> None:
    """The three ways with a second payment are those of the contract."""
    settings = read(tmp_path, ON_SECOND_PAYMENT__POLICY=policy)

    assert policy == settings.on_second_payment.value


def test_delivered_file_is_a_whole_configuration() -> None:
    """Without PAYONCE_CONFIG the delivered file counts; it says what the contract shows."""
    settings = load_settings({})

    assert {"CNY": 100_000, "USD": 20_000} == settings.refund.hold_above
    assert {"CNY": 1_000_000, "USD": 200_000} == settings.refund.two_people_above
    assert ["mock"] == list(settings.gateways)
    assert "http://127.0.0.1:9090" == settings.gateways["mock"].base_url


def test_delivered_file_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command started in another folder finds the delivered file too."""
    monkeypatch.chdir(tmp_path)

    assert ["mock"] == list(load_settings({}).gateways)


def test_file_in_the_folder_goes_before_the_delivered_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """config/payonce.toml of the working folder is the default."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "payonce.toml").write_text(SMALLEST.replace("mock", "own"))
    monkeypatch.chdir(tmp_path)

    assert ["own"] == list(load_settings({}).gateways)
