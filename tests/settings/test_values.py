"""Values: what each kind takes, and what is said of what it does not take."""

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from payonce.domain.errors import BadSettings
from payonce.settings import values
from tests.settings.reading import SECRET, SMALLEST, read, refusal, variable_of

MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST_MS = 400 * MS["d"]

DURATIONS = (
    "poll.watch_for",
    "sweep.every",
    "sweep.grace",
    "retention.callbacks",
    "retention.idempotency_keys",
    "retention.successes",
    "gateways.mock.watch_for",
    "gateways.mock.lateness",
)
BAD_DURATIONS = ("", "3", "3 s", "-3s", "s", "3sec", "1h30m", "3S", "\n3s", "3s\n", "1e3s", ".5s")
BAD_BOOLEANS = ("", "yes", "1", "on", "null")
BAD_LADDERS: tuple[Any, ...] = ("3s", "3s,10s", [], ["3s"] * 21, ["3"], [3], ["5ms"], ["25h"], {})
BAD_LIMITS: tuple[Any, ...] = (
    "5",
    ["CNY"],
    {"YUAN": 1},
    {"CNY": -1},
    {"CNY": 1.5},
    {"CNY": "a"},
    {"CNY": True},
    {"CNY": 2**53},
    {"CNY": 1, "cny": 2},
)
BAD_URLS: tuple[str, ...] = (
    "",
    "x",
    "http:host",
    "http://",
    "http:///p",
    "ftp://h",
    "//h",
    "http://h:0",
    "http://h:x",
)
BAD_URLS += ("http://h:65536", "http://[", "http://a b", "http://h/\n", "http://h/\x1b[31m")
BAD_WEBHOOK_SECRETS = (
    "x",
    "whsec_",
    "whsec_c2hvcnQ=",
    "whsec_@@@@@@@@@@@@@@@@@@@@@@@@",
    SECRET[6:],
)

BAD: list[tuple[str, Any, str]] = [
    *((key, bad, "3s") for key in DURATIONS for bad in BAD_DURATIONS),
    *((key, bad, "more than 0") for key in DURATIONS for bad in ("0s", "0.0000001ms")),
    *((key, bad, "400d") for key in DURATIONS for bad in ("401d", "9" * 400 + "s")),
    *((key, bad, "3s") for key in DURATIONS for bad in (3, True, ["3s"])),
    *((key, "599s", "10m") for key in DURATIONS if key.startswith("retention.")),
    *(("refund.auto", bad, "true or false") for bad in BAD_BOOLEANS),
    *(("gateways.mock.can_close", bad, "true or false") for bad in (1, "no", [True])),
    *(("http.port", bad, "0 to 65535") for bad in ("", "80.0", "-1", "65536", "8e3", "٣x", 80.5)),
    *(("http.port", bad, "0 to 65535") for bad in (True, [80], "1" * 19)),
    *(("refund.max_per_order", bad, "0 to 1000000") for bad in (-1, 1_000_001, "three")),
    *(("refund.max_per_hour", bad, "0 to 1000000") for bad in (-1, 1_000_001, "three")),
    *(("gateways.mock.max_in_flight", bad, "1 to 10000") for bad in (0, 10_001, "")),
    *(
        ("gateways.mock.timeout_s", bad, "0.1 to 60")
        for bad in (0, 0.09, 61, "nan", "inf", True, "", [5])
    ),
    *(("gateways.mock.timeout_s", bad, "1500ms") for bad in (10**400, "soon", "1_0", None)),
    *(("order_service.timeout", bad, "0.1 to 60") for bad in ("0", "61s", "soon", "", [5])),
    *(("order_service.max_in_flight", bad, "1 to 1000") for bad in (0, 1_001, "x", 1.5)),
    *(("poll.ladder", bad, "") for bad in BAD_LADDERS),
    *(("gateways.mock.ladder", bad, "") for bad in BAD_LADDERS),
    *(("refund.hold_above", bad, "") for bad in BAD_LIMITS),
    *(("refund.two_people_above", bad, "") for bad in BAD_LIMITS),
    *(("gateways.mock.base_url", bad, "http://host or https://host") for bad in BAD_URLS),
    *(("http.public_url", bad, "http://host or https://host") for bad in BAD_URLS),
    *(("order_service.notify_url", bad, "http://host") for bad in BAD_URLS if bad),
    *(("broker.management_url", bad, "http://host") for bad in BAD_URLS if bad),
    *(("gateways.mock.secret", bad, "whsec_") for bad in ("", *BAD_WEBHOOK_SECRETS)),
    *(("gateways.mock.secret", bad, "whsec_") for bad in ([], [""], [SECRET, "x"], {"a": SECRET})),
    *(("order_service.secret", bad, "whsec_") for bad in (*BAD_WEBHOOK_SECRETS, [SECRET])),
    *(("on_second_payment.policy", bad, "cancel, reuse, allow") for bad in ("", "CANCEL", 1)),
    *(("gateways.mock.kind", bad, "http") for bad in ("", "gold", ["http"])),
    *(("http.host", bad, "one line") for bad in ("a\nb", "x" * 1_001, ["a"])),
    *(("http.operators", bad, "token") for bad in ("ann", ["ann"])),
]


@pytest.mark.parametrize(
    ("key", "bad", "allowed"), BAD, ids=[f"{n}-{one[0]}" for n, one in enumerate(BAD)]
)
def test_bad_value_is_refused(tmp_path: Path, key: str, bad: Any, allowed: str) -> None:
    """A value that its key does not take is one line with the key, the fault and what is taken."""
    given_text = bad if isinstance(bad, str) else json.dumps(bad)
    error = refusal(tmp_path, **{variable_of(key): given_text})

    assert error.key.startswith(key)
    assert allowed in error.allowed


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://ann@o/paid", "holds a user"),
        ("https://ann:hunter2@o/paid", "holds a user"),
        ("https://o/paid#top", "holds a fragment"),
        ("https://o/paid#", "holds a fragment"),
    ],
)
def test_an_address_to_call_is_plain(tmp_path: Path, url: str, problem: str) -> None:
    """What a call would not carry, or would show in logs, is no part of it."""
    error = refusal(tmp_path, ORDER_SERVICE__NOTIFY_URL=url, ORDER_SERVICE__SECRET=SECRET)

    assert ("order_service.notify_url", problem) == (error.key, error.problem)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("key", ["http.api_token", "http.operators.ann", "http.operators"])
def test_token_that_is_no_text_is_refused(tmp_path: Path, key: str) -> None:
    """A token is text also where it looks like a number."""
    error = refusal(tmp_path, f"{SMALLEST}{key} = 12345\n")

    assert key == error.key
    assert "12345" not in str(error)


def test_operator_without_a_token_is_refused(tmp_path: Path) -> None:
    """An empty token would let everybody in."""
    error = refusal(tmp_path, HTTP__OPERATORS__ANN="")

    assert ("http.operators.ann", "is empty") == (error.key, error.problem)


@pytest.mark.parametrize(
    ("name", "bad", "allowed"),
    [
        ("POSTGRES_DSN", "mysql://h/db", "postgresql://host"),
        ("POSTGRES_DSN", "host=h dbname=x", "postgresql://host"),
        ("POSTGRES_DSN", "postgresql://", "postgresql://host"),
        ("AMQP_URL", "http://h", "amqp://host"),
        ("AMQP_URL", "amqp:///vhost", "amqp://host"),
        ("REDIS_URL", "h:6379", "redis://host"),
        ("REDIS_URL", "unix:/run/redis.sock", "unix:///path"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "json, pretty"),
    ],
)
def test_bad_variable_outside_the_file_is_refused(
    tmp_path: Path, name: str, bad: str, allowed: str
) -> None:
    """Addresses and the two variables of the logs are checked like keys."""
    error = refusal(tmp_path, **{name: bad})

    assert f"PAYONCE_{name}" == error.key
    assert allowed in error.allowed


@pytest.mark.parametrize("level", ["", "debug", "INFO", "Warning", "error"])
def test_log_levels_are_taken_in_any_case(tmp_path: Path, level: str) -> None:
    """A level's case does not matter, and no level is the default."""
    assert read(tmp_path, LOG_LEVEL=level).gateways


@pytest.mark.parametrize("key", ["kind", "base_url", "secret"])
def test_gateway_without_a_needed_key_is_refused(tmp_path: Path, key: str) -> None:
    """What a gateway cannot do without is called missing, not bad."""
    lines = [line for line in SMALLEST.splitlines() if f".{key} " not in line]
    error = refusal(tmp_path, "\n".join(lines))

    assert (f"gateways.mock.{key}", "is missing") == (error.key, error.problem)


def test_configuration_without_a_gateway_is_refused(tmp_path: Path) -> None:
    """At least one gateway is there, else there is nothing to do."""
    assert "gateways" == refusal(tmp_path, "").key


@pytest.mark.parametrize("name", ['""', '"a b"', '"-a"', '"' + "a" * 65 + '"'])
def test_gateway_with_an_unusable_name_is_refused(tmp_path: Path, name: str) -> None:
    """A gateway's name is an id, for messages carry it."""
    error = refusal(tmp_path, SMALLEST.replace("mock", name))

    assert f"gateways.{json.loads(name)}" == error.key
    assert "[A-Za-z0-9]" in error.allowed


@pytest.mark.parametrize("table", ["poll", "refund", "http", "gateways", "gateways.mock"])
def test_table_that_is_a_value_is_refused(tmp_path: Path, table: str) -> None:
    """A section is a table of keys."""
    text = f"{table} = 5\n" if table.startswith("gateways") else f"{SMALLEST}{table} = 5\n"
    error = refusal(tmp_path, text)

    assert (table, "is not a table") == (error.key, error.problem)


@given(st.integers(1, LONGEST_MS), st.sampled_from(sorted(MS)))
def test_durations_of_whole_numbers_are_exact(amount: int, unit: str) -> None:
    """A whole number of any unit is exactly that, up to 400 days."""
    assume(amount * MS[unit] <= LONGEST_MS)

    assert timedelta(milliseconds=amount * MS[unit]) == values.duration("key", f"{amount}{unit}")


@given(st.integers(0, 399), st.integers(0, 999), st.sampled_from(["s", "m", "h", "d"]))
def test_durations_with_fractions_are_near(whole: int, thousandths: int, unit: str) -> None:
    """Three decimals mean what they say, to the microsecond."""
    assume(whole + thousandths > 0)
    found = values.duration("key", f"{whole}.{thousandths:03}{unit}")

    wanted_s = (whole * 1_000 + thousandths) * MS[unit] / 1_000_000
    assert math.isclose(wanted_s, found.total_seconds(), abs_tol=1e-6)


@given(st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.lists(st.integers()))
def test_durations_are_read_or_refused(value: object) -> None:
    """Whatever stands there, a duration is positive and bounded, or BadSettings is raised."""
    found = _read(values.duration, value)

    assert found is None or timedelta(0) < found <= timedelta(days=400)


@given(st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,4})?(ms|s|m|h|d)", fullmatch=True))
def test_ladders_hold_the_durations_in_milliseconds(text: str) -> None:
    """A wait of a ladder is its duration, rounded to a millisecond, from 10 ms to 24 h."""
    duration = _read(values.duration, text)
    wait_ms = round(duration.total_seconds() * 1_000) if duration else 0
    ladder = _read(values.ladder, [text])

    assert (wait_ms,) == ladder.waits_ms if 10 <= wait_ms <= MS["d"] else ladder is None


@given(st.integers())
def test_whole_numbers_are_read_as_numbers_and_as_text(number: int) -> None:
    """An integer and its digits mean the same, or are both refused."""
    outcomes = [_read(values.whole(-5, 70_000), one) for one in (number, str(number))]

    assert outcomes == [number if -5 <= number <= 70_000 else None] * 2


def _read(reader: Any, value: object) -> Any:
    try:
        return reader("key", value)
    except BadSettings:
        return None
