"""payonce refunds and resolve, without a worker: what they say, and how they end."""

import pytest

from tests.cli.conftest import Payonce

WORD = ("--by", "ann", "--why", "x")


def test_an_empty_list_says_so(here: Payonce) -> None:
    """In words, or as no line at all; a status is understood in small letters too."""
    ended = here("refunds", "list")
    assert (0, "no refund waits for a person\n", "") == (ended.status, ended.out, ended.err)
    assert "no refund is MANUAL\n" == here("refunds", "list", "--status", "manual").out
    assert "" == here("refunds", "list", "--json").out


def test_an_unknown_status_is_refused(here: Payonce) -> None:
    """With those that there are."""
    ended = here("refunds", "list", "--status", "lost")
    assert 2 == ended.status
    assert ended.err.startswith("payonce: status: 'LOST' is unknown; allowed: REQUESTED, HELD")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("refunds", "request", "p-none", *WORD), "no payment p-none is known"),
        (("refunds", "approve", "rf-none", "--by", "ann"), "no refund rf-none is known"),
        (("refunds", "reject", "rf-none", *WORD), "no refund rf-none is known"),
        (("resolve", "x-none", "--as", "kept", *WORD), "no payment or refund x-none is known"),
    ],
)
def test_what_is_unknown_fails_in_one_line(
    here: Payonce, arguments: tuple[str, ...], line: str
) -> None:
    """Status 1, nothing on standard output."""
    ended = here(*arguments)
    assert (1, "", f"payonce: {line}\n") == (ended.status, ended.out, ended.err)


def test_an_absent_database_is_named(payonce: Payonce) -> None:
    """With what to do about it."""
    ended = payonce("refunds", "approve", "rf-1", "--by", "ann")
    assert (1, "") == (ended.status, ended.out)
    assert ended.err.startswith("payonce: postgresql is unavailable: ")
    assert "PAYONCE_POSTGRES_DSN" in ended.err
