"""Alipay in a whole payonce: a code that nobody scanned yet cannot be taken back."""

from pathlib import Path

import pytest

from tests.e2e.test_kinds import SLOW_LADDER, Place, stand_of
from tests.support.kinds import KINDS
from tests.support.waiting import eventually


@pytest.fixture
def place(tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str) -> Place:
    """Where a town is opened."""
    return tmp_path, postgres_dsn, amqp_url, redis_url


async def test_a_code_that_was_left_behind_and_is_paid_is_sent_back(place: Place) -> None:
    """The close finds no trade: nobody is told that it is closed. Its late money goes back."""
    async with stand_of(KINDS["alipay"], place, SLOW_LADDER) as stand:
        first = await stand.apply(scanned_after_s=None)
        second = await stand.apply("mock")
        assert (201, 201) == (first.status, second.status)
        status = "SELECT status FROM payments WHERE payment_id = $1"
        assert [("PENDING",)] == [
            tuple(row) for row in await stand.town.rows(status, first.body["payment_id"])
        ]
        other = stand.town.mock.books.charges[second.body["payment_id"]]
        stand.kind.pay(stand.town.mock, second.body["payment_id"])
        settled = await eventually(stand.settled_by, 30, "the other one settles")
        assert settled is not None
        assert second.body["payment_id"] == settled[0]
        stand.pay(first)
        late = stand.mock.books.charges[first.body["payment_id"]]
        await eventually(lambda: late.refunded == 1999, 30, "the late money goes back")
    assert 0 == other.refunded
