"""What the demo's shoppers do, and how each order has to end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GATEWAY = "mock"
CURRENCY = "CNY"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One payment: the shopper's script at the gateway, None where no charge is ever created."""

    script: Mapping[str, Any] | None
    expires_in_s: float = 7_200
    starts_after_s: float = 0.0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Story:
    """Orders of one kind. `ends` holds the order's status, then those of its payments, sorted."""

    name: str
    orders: int
    attempts: tuple[Attempt, ...]
    ends: tuple[str, ...]
    cancelled_after_s: float | None = None
    booking_failures: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """One order of the demo and its payments."""

    story: Story
    order_id: str
    amount: int
    payment_ids: tuple[str, ...]


@dataclass
class Shop:
    """All orders of one run; `run_id` keeps runs on the same servers apart."""

    run_id: str
    plans: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        for story in STORIES:
            for _ in range(story.orders):
                self.plans.append(self._plan(story, len(self.plans) + 1))

    def _plan(self, story: Story, number: int) -> Plan:
        name = f"{self.run_id}-{number:02d}"
        payments = tuple(f"p-{name}{chr(97 + n)}" for n in range(len(story.attempts)))
        return Plan(story, f"o-{name}", 1_000 + number * 100, payments)


def _pays(after_s: float, **more: Any) -> Attempt:
    return Attempt({"pays_after_s": after_s, **more})


PAID = ("PAID", "SUCCEEDED")

STORIES = (
    Story("pays at once", 8, (_pays(1),), PAID),
    Story("pays after 8 s", 6, (_pays(8),), PAID),
    Story("pays after 35 s", 5, (_pays(35),), PAID),
    Story("declines", 3, (Attempt({"declines_after_s": 5}),), ("OPEN", "FAILED")),
    Story("never pays", 3, (Attempt({}, expires_in_s=40),), ("OPEN", "CLOSED")),
    Story("pays both QR codes", 3, (_pays(2), _pays(9)),
          ("PAID", "SUCCEEDED", "SUCCEEDED duplicate")),
    Story("fails, then pays by another", 2, (Attempt({"declines_after_s": 1}), _pays(6)),
          ("PAID", "FAILED", "SUCCEEDED")),
    Story("clicks three times", 2, (Attempt({"pays_after_s": 1}, copies=3),), PAID),
    Story("gateway fails twice", 3, (_pays(1, faults=["500", "nonsense"]),), PAID),
    Story("gateway does not answer", 1, (_pays(1, faults=["timeout"]),), PAID),
    Story("order service fails twice", 2, (_pays(1),), PAID, booking_failures=2),
    Story("never reached the gateway", 1, (Attempt(None, expires_in_s=40),), ("OPEN", "CLOSED")),
    Story("gateway reports less", 1, (_pays(1, reports_amount=1),), ("OPEN", "PENDING mismatched")),
    Story("cancels the order", 1, (Attempt({}),), ("CANCELLED", "CLOSED"), cancelled_after_s=5),
)  # fmt: skip
