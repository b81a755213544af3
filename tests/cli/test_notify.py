"""payonce notify, without a worker: what it says, and how it ends."""

import pytest

from tests.cli.conftest import Payonce


def test_nothing_to_tell_of_is_no_error(here: Payonce) -> None:
    """All of nothing."""
    ended = here("notify", "--all", "--by", "ann")
    told = "all unacknowledged orders are told again now; 0 of them were not due anyway\n"
    assert (0, told, "") == (ended.status, ended.out, ended.err)


def test_each_unknown_order_is_named(here: Payonce) -> None:
    """On standard error, one line each; status 1."""
    ended = here("notify", "o-none", "o-other", "--by", "ann")
    lines = ["payonce: no order o-none is known", "payonce: no order o-other is known"]
    assert (1, "", lines) == (ended.status, ended.out, ended.err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--by", "ann"), "ORDER: names no order; allowed: ids of orders, or --all"),
        (("o-1", "--all", "--by", "ann"), "ORDER: names orders and --all; allowed:"),
        (("o 1", "--by", "ann"), "ORDER: 'o 1' is not an id"),
        (("o-1", "--by", " "), "by: says nothing usable"),
    ],
)
def test_a_wrong_call_is_refused(payonce: Payonce, arguments: tuple[str, ...], line: str) -> None:
    """Before any server is asked; status 2."""
    ended = payonce("notify", *arguments)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"payonce: {line}")


def test_an_absent_database_is_named(payonce: Payonce) -> None:
    """With what to do about it."""
    ended = payonce("notify", "o-1", "--by", "ann")
    assert (1, "") == (ended.status, ended.out)
    assert ended.err.startswith("payonce: postgresql is unavailable: ")
