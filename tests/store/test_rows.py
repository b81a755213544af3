"""Values on their way into the database."""

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.rows import columns, from_json, to_json


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("plain", "plain"),
        ("a\x00b", "a\ufffdb"),
        ("\\u0000", "\\u0000"),
        ("\\\x00", "\\\ufffd"),
        ("支付\U0001f600", "支付\U0001f600"),
    ],
)
async def test_every_text_can_be_stored(database: Database, value: str, stored: str) -> None:
    """A gateway that sends NUL must not keep its payment from being settled."""
    [row] = await database.fetch("SELECT $1::json::jsonb AS data", to_json({"reason": value}))
    assert {"reason": stored} == from_json(row["data"])


async def test_large_amounts_stay_exact(database: Database) -> None:
    """Up to the largest that the domain allows."""
    [row] = await database.fetch("SELECT $1::json::jsonb AS data", to_json({"amount": 2**53 - 1}))
    assert {"amount": 2**53 - 1} == from_json(row["data"])


def test_no_rows_have_empty_columns() -> None:
    """One for each parameter of the statement."""
    assert [(), (), ()] == columns([], 3)
    assert [(1, 3), (2, 4)] == columns([(1, 2), (3, 4)], 2)
