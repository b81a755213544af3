"""After the last minute: the campaign's judge on an hour of books, and what they add up to."""

from dataclasses import dataclass

from tests.campaign.judge import Evidence, objections
from tests.soak.stage import Stage

MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared."""

    text: str
    ok: bool


UNFINISHED = """
SELECT
    (SELECT count(*) FROM payments WHERE status IN ('CREATED', 'PENDING') OR revive_at IS NOT NULL)
    + (SELECT count(*) FROM orders WHERE status = 'PAID' AND acknowledged_at IS NULL)
    + (SELECT count(*) FROM refunds WHERE status IN ('REQUESTED', 'SUBMITTED'))
    + (SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL)
    + (SELECT count(*) FROM outbox) AS unfinished
"""


async def unfinished(stage: Stage) -> int:
    """Return how much still waits for an outcome, a last look, a booking or to be told."""
    return int((await stage.rows(UNFINISHED))[0][0])


async def audit(stage: Stage, asked: frozenset[str]) -> list[Finding]:
    """Compare the gateway's books, payonce's tables and the order service's.

    `asked`: payments that the shop was shown or sent.
    """
    evidence = await _evidence(stage, asked)
    found = objections(evidence)
    shown = [Finding(text, ok=False) for text in found[:MOST_SHOWN]]
    return [Finding(_totals(evidence), not found), *shown]


async def _evidence(stage: Stage, asked: frozenset[str]) -> Evidence:
    books = await stage.control("GET", "/books")
    parked = await stage.parked()
    return Evidence(
        asked=asked,
        charges=books["charges"],
        orders=await _rows(stage, "*, acknowledged_at IS NOT NULL AS acknowledged FROM orders"),
        payments=await _rows(stage, "* FROM payments"),
        refunds=await _rows(stage, "* FROM refunds"),
        bookings=await _rows(stage, "* FROM order_service.bookings", stage.handles.orders.dsn),
        told=None,
        left={"payonce.parked and payonce.unrouted": len(parked)},
    )


async def _rows(stage: Stage, what: str, dsn: str = "") -> list[dict[str, object]]:
    return [dict(row) for row in await stage.rows(f"SELECT {what}", dsn=dsn)]


def _totals(evidence: Evidence) -> str:
    captured = sum(one["captured"] for one in evidence.charges)
    refunded = sum(one["refunded"] for one in evidence.charges)
    paid = sum(one["status"] == "PAID" for one in evidence.orders)
    return (
        f"{len(evidence.orders)} orders, {len(evidence.payments)} payments, {paid} orders paid, "
        f"{len(evidence.bookings)} booked; captured {captured} = kept {captured - refunded} "
        f"+ sent back {refunded}, by {len(evidence.refunds)} refunds"
    )
