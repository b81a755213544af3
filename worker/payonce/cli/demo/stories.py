"""What the demo's shoppers do, and how each order has to end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GATEWAY = "mock"
SLIP = "slip"
"""A second gateway, whose payments cannot be closed: like a slip that is paid at a counter."""

CURRENCY = "CNY"
DEAR = 150_000
"""More than `refund.hold_above` allows to go back without a person."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One payment: the shopper's script at the gateway, None where no charge is ever created.

    `copies`: how often it is asked for; `called_back`: the gateway calls back about it.
    """

    script: Mapping[str, Any] | None
    gateway: str = GATEWAY
    expires_in_s: float = 7_200
    starts_after_s: float = 0.0
    copies: int = 1
    called_back: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """Orders of one kind. `ends`: the order's status, those of its payments, those of refunds.

    `by_api`: its payments are applied for over HTTP, where there is an edge; `needs_edge`: without
    callbacks it would take longer than the demo. `source`: how the payment has to be found out.
    """

    name: str
    orders: int
    attempts: tuple[Attempt, ...]
    ends: tuple[str, ...]
    cancelled_after_s: float | None = None
    booking_failures: int = 0
    amount: int | None = None
    by_api: bool = False
    needs_edge: bool = False
    currency: str = CURRENCY
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One order of the demo and its payments, whose ids an application may change."""

    story: Story
    order_id: str
    amount: int
    payment_ids: list[str]


@dataclass
class Shop:
    """All orders of one run; `run_id` keeps runs on the same servers apart."""

    run_id: str
    has_edge: bool
    told: tuple[Story, ...]
    plans: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        for story in self.stories():
            for _ in range(story.orders):
                self.plans.append(self._plan(story, len(self.plans) + 1))

    def stories(self) -> list[Story]:
        """Return the stories that can be told here."""
        return [one for one in self.told if self.has_edge or not one.needs_edge]

    def _plan(self, story: Story, number: int) -> Plan:
        name = f"{self.run_id}-{number:02d}"
        payments = [f"p-{name}{chr(97 + n)}" for n in range(len(story.attempts))]
        return Plan(story, f"o-{name}", story.amount or 1_000 + number * 100, payments)


def _pays(after_s: float, *, called_back: bool = False, **more: Any) -> Attempt:
    return Attempt({"pays_after_s": after_s, **more}, called_back=called_back)


def _slip(after_s: float) -> Attempt:
    return Attempt({"pays_after_s": after_s}, SLIP)


def _later(after_s: float, script: Mapping[str, Any]) -> Attempt:
    return Attempt(script, starts_after_s=after_s)


PAID = ("PAID", "SUCCEEDED")
RETURNED = ("PAID", "SUCCEEDED", "SUCCEEDED duplicate", "refund SUCCEEDED")

STORIES = (
    Story("pays, the gateway calls back", 6, (_pays(1, called_back=True),), PAID),
    Story("pays, the callback gets lost", 3,
          (_pays(1, called_back=True, callbacks="lost"),), PAID),
    Story("pays after 8 s", 4, (_pays(8),), PAID),
    Story("pays after 35 s", 4, (_pays(35),), PAID),
    Story("declines", 2, (Attempt({"declines_after_s": 5}),), ("OPEN", "FAILED")),
    Story("never pays", 2, (Attempt({}, expires_in_s=40),), ("OPEN", "CLOSED")),
    Story("clicks three times", 2, (Attempt({"pays_after_s": 1}, copies=3),), PAID, by_api=True),
    Story("scans two QR codes", 3, (_pays(9), _later(2, {"pays_after_s": 3})),
          ("PAID", "CLOSED", "SUCCEEDED")),
    Story("pays a QR code that was closed", 2,
          (_pays(9, called_back=True, pays_though_closed=True),
           _later(2, {"pays_after_s": 3})), RETURNED, needs_edge=True),
    Story("pays by slip and by wallet", 3, (_slip(5), _later(1, {"pays_after_s": 3})), RETURNED),
    Story("the same, and it is dear", 1, (_slip(5), _later(1, {"pays_after_s": 3})), RETURNED,
          amount=DEAR),
    Story("fails, then pays by another", 2,
          (Attempt({"declines_after_s": 1}), _later(4, {"pays_after_s": 2})),
          ("PAID", "FAILED", "SUCCEEDED")),
    Story("gateway fails twice", 2, (_pays(1, faults=["500", "nonsense"]),), PAID),
    Story("gateway does not answer", 1, (_pays(1, faults=["timeout"]),), PAID),
    Story("order service fails twice", 2, (_pays(1),), PAID, booking_failures=2),
    Story("never reached the gateway", 1, (Attempt(None, expires_in_s=40),), ("OPEN", "CLOSED")),
    Story("gateway reports less", 1, (_pays(1, reports_amount=1),), ("OPEN", "PENDING mismatched")),
    Story("cancels the order", 1, (Attempt({}),), ("CANCELLED", "CLOSED"), cancelled_after_s=5),
)  # fmt: skip
