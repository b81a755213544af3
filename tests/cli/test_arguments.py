"""The command line itself: what is asked for, what is refused, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from payonce import __version__
from tests.cli.conftest import NOWHERE, Payonce

COMMANDS = (
    "run",
    "migrate",
    "check",
    "pay",
    "consume",
    "show",
    "unresolved",
    "mismatched",
    "unacknowledged",
    "refunds",
    "resolve",
    "parked",
    "webhooks",
    "gateways",
    "docs",
    "demo",
)
ACTIONS = (
    *((one,) for one in COMMANDS),
    ("parked", "list"),
    ("parked", "replay"),
    ("webhooks", "list"),
    ("webhooks", "replay"),
    ("gateways", "list"),
    ("gateways", "pause"),
    ("gateways", "resume"),
    *(("refunds", one) for one in ("list", "request", "approve", "reject")),
)


def test_version_is_told(payonce: Payonce) -> None:
    """--version prints name and version and needs neither configuration nor server."""
    ended = payonce("--version", PAYONCE_CONFIG="/nowhere.toml")

    assert (0, f"payonce {__version__}\n", "") == (ended.status, ended.out, ended.err)


def test_module_is_the_command() -> None:
    """`python -m payonce` and the command are the same, exit status included."""
    wrong = [sys.executable, "-m", "payonce", "unresolved", "--limit", "0"]
    ended = subprocess.run(wrong, capture_output=True, text=True, timeout=30, check=False)

    line = "payonce: --limit: 0 is out of range; allowed: 1 to 1000\n"
    assert (2, "", line) == (ended.returncode, ended.stdout, ended.stderr)


def test_help_names_every_command_on_a_line_of_its_own(payonce: Payonce) -> None:
    """The first help shows each command with what it does, within a terminal's width."""
    ended = payonce("--help")

    assert (0, "") == (ended.status, ended.err)
    for name in COMMANDS:
        line = next(one for one in ended.out.splitlines() if one.startswith(f"    {name} "))
        assert len(line.split()) > 3
    assert all(len(line) <= 80 for line in ended.out.splitlines())


@pytest.mark.parametrize("action", ACTIONS, ids=" ".join)
def test_every_command_has_help(payonce: Payonce, action: tuple[str, ...]) -> None:
    """--help of a command tells in a sentence what it does, and explains each argument."""
    ended = payonce(*action, "--help")

    assert (0, "") == (ended.status, ended.err)
    usage, description, *rest = ended.out.split("\n\n")
    assert usage.startswith(f"usage: payonce {' '.join(action)}")
    assert description[0].isupper()
    assert description.endswith(".")
    arguments = [line for part in rest for line in part.splitlines() if line.startswith("  -")]
    assert arguments
    assert all("  " in line.strip() for line in arguments), "an argument without a word"


WRONG = [
    ((), "COMMAND"),
    (("pey",), "pey"),
    (("--nothing",), "COMMAND"),
    (("run", "edge"), "edge"),
    (("migrate", "--now"), "--now"),
    (("pay", "--amount", "19.99"), "--amount"),
    (("pay", "--count", "many"), "--count"),
    (("pay", "--rate", "fast"), "--rate"),
    (("consume",), "--service"),
    (("consume", "--service", "shop"), "--url"),
    (("show",), "ORDER|PAYMENT"),
    (("show", "o-1", "o-2"), "o-2"),
    (("unresolved", "--limit", "x"), "--limit"),
    (("parked",), "ACTION"),
    (("parked", "drop"), "drop"),
    (("parked", "list", "m-1"), "m-1"),
    (("parked", "list", "--service", "shop", "--unrouted"), "--unrouted"),
    (("parked", "replay", "--all", "--unrouted", "--service", "shop"), "--service"),
    (("webhooks",), "ACTION"),
    (("webhooks", "list", "7"), "7"),
    (("webhooks", "list", "--problems", "--unprocessed"), "--problems"),
    (("gateways",), "ACTION"),
    (("gateways", "stop"), "stop"),
    (("gateways", "pause"), "NAME"),
    (("gateways", "pause", "mock", "--why", "works"), "--by"),
    (("gateways", "pause", "mock", "--by", "ann"), "--why"),
    (("gateways", "resume", "mock"), "--by"),
    (("refunds",), "ACTION"),
    (("refunds", "send"), "send"),
    (("refunds", "request"), "PAYMENT"),
    (("refunds", "request", "p-1", "--by", "ann"), "--why"),
    (("refunds", "request", "p-1", "--by", "ann", "--why", "x", "--amount", "1.5"), "--amount"),
    (("refunds", "approve", "rf-1"), "--by"),
    (("refunds", "reject", "rf-1", "--by", "ann"), "--why"),
    (("resolve", "p-1", "--by", "ann", "--why", "x"), "--as"),
    (("demo", "--forever"), "--forever"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(one) for one, _ in WRONG])
def test_wrong_argument_is_named(payonce: Payonce, arguments: tuple[str, ...], named: str) -> None:
    """A wrong call ends with 2, the usage and what was wrong; nothing on standard output."""
    ended = payonce(*arguments)

    assert (2, "") == (ended.status, ended.out)
    usage, *_, problem = ended.err.splitlines()
    assert usage.startswith("usage: payonce")
    assert "error: " in problem
    assert named in problem


SECRET = "whsec_cGF5b25jZS1jbGktdGVzdHMtc2VjcmV0"
_CONSUME = ("consume", "--service", "shop", "--url", "http://127.0.0.1:1/")
_BY = ("--by", "ann")
_WORD = (*_BY, "--why", "x")

REFUSED = [
    (("run", "--only", "edge,cook"), "--only: 'cook' is no role; allowed: consumer, edge, relay"),
    (("run", "--only", ""), "--only: '' is no role"),
    (("pay", "--amount", "0"), "amount: 0 is out of range; allowed: 1 to"),
    (("pay", "--currency", "yuan"), "currency: 'yuan' is unknown; allowed: an ISO 4217 code"),
    (("pay", "--gateway", "bank"), "gateway: 'bank' is not configured; allowed: mock"),
    (("pay", "--order", "a b"), "order_id: 'a b' is not an id"),
    (("pay", "--payment", "-"), "payment_id: '-' is not an id"),
    (("pay", "--gateway-ref", ""), "gateway_ref: "),
    (("pay", "--expires-at", "noon"), "expires_at: 'noon' is not a time; allowed: RFC 3339"),
    (("pay", "--count", "0"), "--count: 0 is out of range; allowed: 1 to 100000"),
    (("pay", "--count", "100001"), "--count: 100001 is out of range"),
    (("pay", "--rate", "0"), "--rate: 0 is out of range"),
    (("pay", "--rate", "nan"), "--rate: nan is out of range"),
    (("show", "a b"), "ORDER|PAYMENT: 'a b' is not an id"),
    (("unresolved", "--limit", "1001"), "--limit: 1001 is out of range; allowed: 1 to 1000"),
    (("mismatched", "--limit", "-1"), "--limit: -1 is out of range"),
    (("unacknowledged", "--limit", "0"), "--limit: 0 is out of range"),
    (("refunds", "list", "--limit", "0"), "--limit: 0 is out of range"),
    (("refunds", "approve", "a b", "--by", "ann"), "REFUND: 'a b' is not an id"),
    (("refunds", "approve", "rf-1", "--by", " "), "by: says nothing usable"),
    (("refunds", "reject", "rf-1", *_BY, "--why", ""), "why: says nothing usable"),
    (("refunds", "request", "p-1", *_WORD, "--amount", "0"), "--amount: 0 is out of range"),
    (("resolve", "p-1", *_WORD, "--as", "lost"), "as: 'lost' is unknown; allowed: refunded-else"),
    (("parked", "list", "--limit", "0"), "--limit: 0 is out of range"),
    (("parked", "replay"), "parked replay: names no message; allowed: MESSAGE_ID ..., or --all"),
    (("parked", "replay", "m-1", "--all"), "parked replay: names messages and --all"),
    (("webhooks", "list", "--limit", "0"), "--limit: 0 is out of range"),
    (("webhooks", "replay"), "webhooks replay: names no callback; allowed: INBOX_ID ..., or --all"),
    (("webhooks", "replay", "1", "--all"), "webhooks replay: names callbacks and --all"),
    (("webhooks", "replay", "x"), "INBOX_ID: 'x' is not a whole number; allowed: as the list"),
    ((*_CONSUME, "--ladder", "1s,soon"), "--ladder: 'soon' is not a duration"),
    ((*_CONSUME, "--ladder", ""), "--ladder: '' is not a duration"),
    ((*_CONSUME, "--secret-file", "/nowhere"), "--secret-file: cannot read /nowhere: No such file"),
    (("consume", "--service", "A b", "--url", "http://h"), "service: 'A b' is not a name"),
    (("consume", "--service", "a", "--url", "h"), "url: 'h' is not an address"),
]


@pytest.mark.parametrize(
    ("arguments", "line"), REFUSED, ids=[" ".join(one)[:60] for one, _ in REFUSED]
)
def test_bad_value_is_one_line(payonce: Payonce, arguments: tuple[str, ...], line: str) -> None:
    """A value that is not allowed ends with 2 and one line: what, why, what is allowed."""
    ended = payonce(*arguments)

    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"payonce: {line}")
    assert "; allowed: " in ended.err
    assert 1 == ended.err.count("\n")


@pytest.mark.parametrize("content", ["", "hunter2", "whsec_hunter2"])
def test_bad_secret_file_is_refused_without_telling_it(
    payonce: Payonce, tmp_path: Path, content: str
) -> None:
    """A secret that cannot sign stops `consume`; what the file holds stays in it."""
    path = tmp_path / "secret"
    path.write_text(content, encoding="utf-8")
    ended = payonce(*_CONSUME, "--secret-file", str(path))

    assert (2, 1) == (ended.status, ended.err.count("\n"))
    assert "secret: " in ended.err
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    "action",
    [
        ("run",),
        ("migrate",),
        ("check",),
        ("pay",),
        _CONSUME,
        ("show", "o-1"),
        ("unresolved",),
        ("mismatched",),
        ("unacknowledged",),
        ("refunds", "list"),
        ("refunds", "request", "p-1", *_WORD),
        ("refunds", "approve", "rf-1", *_BY),
        ("refunds", "reject", "rf-1", *_WORD),
        ("resolve", "p-1", "--as", "kept", *_WORD),
        ("parked", "list"),
        ("parked", "replay", "--all"),
        ("webhooks", "list"),
        ("webhooks", "replay", "--all"),
        ("gateways", "list"),
        ("gateways", "pause", "mock", "--by", "ann", "--why", "works"),
    ],
    ids=lambda one: one[0],
)
def test_wrong_configuration_stops_every_command(payonce: Payonce, action: tuple[str, ...]) -> None:
    """A bad key ends each command with 2 and one line before any server is asked."""
    ended = payonce(*action, PAYONCE_HTTP__PROT="1")

    line = "payonce: configuration: http.prot: is unknown (did you mean http.port?); allowed: http."
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(line)
    assert 1 == ended.err.count("\n")


def test_environment_of_these_tests_reaches_nobody(payonce: Payonce) -> None:
    """Without servers of its own a test talks to nobody."""
    assert all("127.0.0.1:1/" in address for address in NOWHERE.values())
    assert 1 == payonce("migrate").status
