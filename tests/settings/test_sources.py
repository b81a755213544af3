"""Where values come from, and what is said of what cannot be read or is unknown."""

from pathlib import Path

import pytest

from payonce.settings import Secret, load_settings
from tests.settings.reading import SECRET, SMALLEST, read, refusal

DSN = "postgresql://u:p@db-1:5432,db-2:5433/shop?target_session_attrs=read-write"


def test_servers_come_from_the_environment(tmp_path: Path) -> None:
    """The three addresses are variables of their own, each of which can come from a file."""
    (tmp_path / "dsn").write_text(f"{DSN}\n")
    settings = read(
        tmp_path,
        POSTGRES_DSN_FILE=str(tmp_path / "dsn"),
        AMQP_URL="amqps://u:p@mq/shop",
        REDIS_URL="unix:///run/redis.sock?db=1",
    )

    assert DSN == settings.servers.postgres_dsn
    assert "amqps://u:p@mq/shop" == settings.servers.amqp_url
    assert "unix:///run/redis.sock?db=1" == settings.servers.redis_url


def test_empty_address_means_the_default(tmp_path: Path) -> None:
    """A variable that is set to nothing is as good as not set."""
    settings = read(tmp_path, POSTGRES_DSN="", AMQP_URL="", REDIS_URL="")

    assert "redis://127.0.0.1:6379/0" == settings.servers.redis_url


def test_strangers_variables_are_left_alone(tmp_path: Path) -> None:
    """Only variables that begin with PAYONCE_ count."""
    path = tmp_path / "payonce.toml"
    path.write_text(SMALLEST)
    environ = {"PAYONCE_CONFIG": str(path), "HTTP__PORT": "no", "NOTPAYONCE_HTTP__PORT": "no"}

    assert 8080 == load_settings(environ).http.port


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_trailing_newline_of_a_secret_is_ignored(tmp_path: Path, end: str) -> None:
    """An editor's last newline is no part of a secret."""
    (tmp_path / "token").write_bytes(f"t-0{end}".encode())
    settings = read(tmp_path, HTTP__API_TOKEN_FILE=str(tmp_path / "token"))

    assert Secret("t-0") == settings.http.api_token


def test_only_one_newline_is_ignored(tmp_path: Path) -> None:
    """Blanks and empty lines of a secret are the secret's own."""
    (tmp_path / "token").write_text(" t-0 \n\n")
    settings = read(tmp_path, HTTP__API_TOKEN_FILE=str(tmp_path / "token"))

    assert Secret(" t-0 \n") == settings.http.api_token


def test_file_goes_before_the_plain_variable(tmp_path: Path) -> None:
    """Where both are set, the file counts."""
    (tmp_path / "token").write_text("from-file")
    settings = read(tmp_path, HTTP__API_TOKEN="plain", HTTP__API_TOKEN_FILE=str(tmp_path / "token"))

    assert Secret("from-file") == settings.http.api_token


def test_operators_can_come_one_by_one(tmp_path: Path) -> None:
    """A table's entries can be set each by a variable, or by a file."""
    (tmp_path / "ann").write_text("t-ann\n")
    settings = read(
        tmp_path, HTTP__OPERATORS__ANN_FILE=str(tmp_path / "ann"), HTTP__OPERATORS__BOB="t-bob"
    )

    assert {"ann": Secret("t-ann"), "bob": Secret("t-bob")} == settings.http.operators


def test_limits_can_come_one_by_one(tmp_path: Path) -> None:
    """A currency's limit is overridden by its own variable, beside those of the file."""
    text = f"{SMALLEST}refund.hold_above = {{ CNY = 100000, USD = 20000 }}\n"
    settings = read(tmp_path, text, REFUND__HOLD_ABOVE__CNY="5", REFUND__HOLD_ABOVE__EUR="6")

    assert {"CNY": 5, "USD": 20_000, "EUR": 6} == settings.refund.hold_above


def test_variable_finds_a_name_that_variables_cannot_spell(tmp_path: Path) -> None:
    """A gateway named WeChat-CN is reached by ..._WECHAT_CN__...."""
    text = SMALLEST.replace("mock", "WeChat-CN")
    settings = read(tmp_path, text, GATEWAYS__WECHAT_CN__MAX_IN_FLIGHT="7")

    assert {"WeChat-CN": 7} == {name: one.max_in_flight for name, one in settings.gateways.items()}


def test_variable_that_could_mean_two_names_is_refused(tmp_path: Path) -> None:
    """Nothing is guessed where two gateways differ only in what variables cannot spell."""
    text = SMALLEST.replace("mock", "we-chat") + SMALLEST.replace("mock", '"we:chat"')
    error = refusal(tmp_path, text, GATEWAYS__WE_CHAT__MAX_IN_FLIGHT="7")

    assert "PAYONCE_GATEWAYS__WE_CHAT__MAX_IN_FLIGHT" == error.key
    assert "we-chat or we:chat" in error.problem


def test_variable_means_the_name_that_it_spells(tmp_path: Path) -> None:
    """A name that a variable spells exactly goes before those that it only resembles."""
    text = SMALLEST.replace("mock", "we-chat") + SMALLEST.replace("mock", "we_chat")
    settings = read(tmp_path, text, GATEWAYS__WE_CHAT__MAX_IN_FLIGHT="7")

    assert (200, 7) == tuple(
        settings.gateways[name].max_in_flight for name in ("we-chat", "we_chat")
    )


def test_whole_gateway_can_come_from_the_environment(tmp_path: Path) -> None:
    """A gateway that the file does not know can be described by variables alone."""
    settings = read(
        tmp_path,
        GATEWAYS__SECOND=f'{{"kind": "http", "base_url": "http://g", "secret": "{SECRET}"}}',
        GATEWAYS__SECOND__TIMEOUT_S="2",
    )

    assert {"mock", "second"} == set(settings.gateways)
    assert 2.0 == settings.gateways["second"].timeout_s


def test_whole_table_can_come_as_json(tmp_path: Path) -> None:
    """A variable named after a section takes the place of the whole section."""
    text = f"{SMALLEST}[http]\nport = 1\nhost = 'h'\n"
    settings = read(tmp_path, text, HTTP='{"port": 2}', HTTP__API_TOKEN="t-0")

    assert (2, "0.0.0.0", "t-0") == (
        settings.http.port,
        settings.http.host,
        settings.http.api_token.reveal(),
    )


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[polls]\n", "polls", "poll"),
        ("[poll]\nlader = []\n", "poll.lader", "poll.ladder"),
        ("[http]\nprot = 1\n", "http.prot", "http.port"),
        ("[refund]\nmax_per_day = 1\n", "refund.max_per_day", "refund.max_per_"),
        ("[sweep]\neach = 1\n", "sweep.each", ""),
        ("[order_service]\nurl = 1\n", "order_service.url", ""),
        ("[broker]\nurl = 1\n", "broker.url", ""),
        ("[on_second_payment]\npolice = 1\n", "on_second_payment.police", "policy"),
        ("gateways.mock.timeout = 1\n", "gateways.mock.timeout", "gateways.mock.timeout_s"),
        ("surprise = 1\n", "surprise", ""),
    ],
)
def test_unknown_key_is_named_with_its_neighbour(
    tmp_path: Path, text: str, key: str, hint: str
) -> None:
    """A key that nobody reads is refused, and the key that was meant is told where it is near."""
    error = refusal(tmp_path, SMALLEST + text)

    assert key == error.key
    assert "is unknown" in error.problem
    assert hint in error.problem


def test_unknown_key_reads_well(tmp_path: Path) -> None:
    """One semicolon, and every key in full, as it would be written."""
    error = refusal(tmp_path, f"{SMALLEST}[sweep]\never = 1\n")

    assert str(error) == (
        "configuration: sweep.ever: is unknown (did you mean sweep.every?);"
        " allowed: sweep.every, sweep.grace"
    )


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("HTTP_PORT", "PAYONCE_HTTP_PORT"),
        ("PORT", "PAYONCE_PORT"),
        ("HTTP__PROT", "http.prot"),
        ("HTTP__PORT__NUMBER", "http.port"),
        ("HTPP__PORT", "htpp"),
        ("GATEWAYS__MOCK__SECRETS", "gateways.mock.secrets"),
        ("CONFIG_FILE", "PAYONCE_CONFIG_FILE"),
        ("LOG_LEVEL_FILE", "PAYONCE_LOG_LEVEL_FILE"),
    ],
)
def test_unknown_variable_is_named(tmp_path: Path, variable: str, key: str) -> None:
    """A PAYONCE_ variable that means no key is refused, never ignored."""
    (tmp_path / "value").write_text("1")
    value = str(tmp_path / "value") if variable.endswith("_FILE") else "1"

    assert key == refusal(tmp_path, **{variable: value}).key


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SERVICE_HOST", "10.96.0.1"),
        ("SERVICE_HOST", "fd00::1"),
        ("SERVICE_PORT", "8080"),
        ("SERVICE_PORT_HTTP", "8080"),
        ("SERVICE_PORT_KEY_FILE", "8080"),
        ("PORT", "tcp://10.96.0.1:8080"),
        ("PORT", "tcp://[fd00::1]:8080"),
        ("PORT_8080_TCP", "tcp://10.96.0.1:8080"),
        ("PORT_8080_TCP_PROTO", "tcp"),
        ("PORT_8080_TCP_PORT", "8080"),
        ("PORT_8080_TCP_ADDR", "10.96.0.1"),
        ("PORT_53_UDP", "udp://10.96.0.1:53"),
        ("WORKER_SERVICE_HOST", "10.96.0.1"),
        ("WORKER_PORT", "tcp://10.96.0.1:8080"),
        ("EU_EDGE_2_SERVICE_PORT_HTTP", "8080"),
        ("HTTP_PORT", "tcp://10.96.0.1:8080"),
    ],
)
def test_what_kubernetes_says_of_a_service_is_left_alone(
    tmp_path: Path, variable: str, value: str
) -> None:
    """A Service named payonce or payonce-... puts such variables into every pod."""
    assert read(tmp_path) == read(tmp_path, **{variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PORT", "8080"),
        ("PORT", "8080"),
        ("PORT", "tcp://broker"),
        ("SERVICE_HOST", "edge.internal"),
        ("SERVICE_PORT", "many"),
        ("PORT_TCP", "tcp://10.96.0.1:8080"),
        ("PORT_8080_TCP_URL", "tcp://10.96.0.1:8080"),
        ("SERVICE__HOST", "10.96.0.1"),
        ("HTTP__SERVICE_PORT", "8080"),
        ("HTTP___PORT", "tcp://10.96.0.1:8080"),
        ("service_host", "10.96.0.1"),
        ("SERVICE_SECRET", "8080"),
    ],
)
def test_what_only_resembles_a_service_is_refused(
    tmp_path: Path, variable: str, value: str
) -> None:
    """A misspelt key stays an error, however near it comes."""
    assert "is unknown" in refusal(tmp_path, **{variable: value}).problem


def test_key_below_a_value_is_refused(tmp_path: Path) -> None:
    """A variable cannot go below what is a value in the file."""
    error = refusal(tmp_path, f"{SMALLEST}[http]\nport = 1\n", HTTP__PORT__NUMBER="1")

    assert "PAYONCE_HTTP__PORT__NUMBER" == error.key
    assert "port is not a table" in error.problem


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A configuration that is not there stops the command and is named."""
    error = refusal(tmp_path, CONFIG="/nowhere/payonce.toml")

    assert "PAYONCE_CONFIG" == error.key
    assert "/nowhere/payonce.toml: No such file" in error.problem


def test_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are told as such."""
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")

    assert f"{path}: not UTF-8" in refusal(tmp_path, CONFIG=str(path)).problem
    error = refusal(tmp_path, HTTP__API_TOKEN_FILE=str(path))
    assert "PAYONCE_HTTP__API_TOKEN_FILE" == error.key
    assert f"{path}: not UTF-8" in error.problem


@pytest.mark.parametrize("text", ["a = " + "9" * 5_000, "a = " + "[" * 100_000], ids=["9", "["])
def test_file_beyond_all_measure_is_refused(tmp_path: Path, text: str) -> None:
    """What no reader of TOML bears is one line too."""
    assert "is not TOML" in refusal(tmp_path, text).problem


def test_file_that_is_not_toml_is_told_with_the_line(tmp_path: Path) -> None:
    """A slip in the file is told with its place."""
    error = refusal(tmp_path, "[http]\nport = \n")

    assert str(tmp_path / "payonce.toml") == error.key
    assert "line 2" in error.problem


@pytest.mark.parametrize("path", ["/nowhere/token", "/tmp"])
def test_unreadable_secret_file_is_named(tmp_path: Path, path: str) -> None:
    """A secret that cannot be read stops the command; variable, file and reason are told."""
    error = refusal(tmp_path, GATEWAYS__MOCK__SECRET_FILE=path)

    assert "PAYONCE_GATEWAYS__MOCK__SECRET_FILE" == error.key
    assert f"cannot read {path}: " in error.problem
