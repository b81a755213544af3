"""How pages say things: money, times, ages, and each line of a timeline as a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from payonce.domain.money import Money
from payonce.domain.times import format_time, from_ms, parse_time

View = Mapping[str, Any]

LIMIT = "limit"
"""The fact that is an amount in minor units of its entry's currency."""

_STEPS = (
    (timedelta(seconds=10), timedelta(seconds=1), ""),
    (timedelta(minutes=1), timedelta(seconds=10), "s"),
    (timedelta(hours=1), timedelta(minutes=1), "min"),
    (timedelta(hours=48), timedelta(hours=1), "h"),
    (timedelta.max, timedelta(days=1), "d"),
)
_UNITS = {"s": 10, "min": 1, "h": 1, "d": 1}


def money(amount: int | None, currency: str | None) -> str:
    """Return an amount as people write it; a dash where there is none."""
    return "-" if amount is None or currency is None else str(Money(amount, currency))


def moment(time: str | None) -> str:
    """Return a time in UTC, to the second, as it stands in a table."""
    return "-" if time is None else time[:19].replace("T", " ")


def age(time: str | None, now: datetime) -> str:
    """Return how long ago a time was, or how long it is to it: coarse, so that it stands still."""
    if time is None:
        return ""
    distance = now - parse_time(time, "time")
    if distance < timedelta(0):
        return f"in {_length(-distance)}"
    return "just now" if distance < _STEPS[0][0] else f"{_length(distance)} ago"


def _length(distance: timedelta) -> str:
    for below, unit, name in _STEPS:
        if distance < below:
            return f"{distance // unit * _UNITS[name]} {name}" if name else "a moment"
    raise AssertionError(distance)


def printable(text: object) -> str:
    """Return text that turns no line around and hides nothing, whoever wrote it."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text)
    )


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a timeline: when, which payment, what in words, and what else is known."""

    at: str
    payment_id: str | None
    kind: str
    words: str
    facts: str


def lines_of(timeline: Sequence[View]) -> list[Line]:
    """Return a timeline in words, with the polls that each entry carries, by time."""
    return sorted((line for entry in timeline for line in _lines(entry)), key=lambda one: one.at)


def _lines(entry: View) -> Iterable[Line]:
    detail: View = entry["detail"]
    for step, at_ms, outcome in detail.get("polls") or []:
        words = f"Poll {step}: the gateway was asked and said {printable(outcome)}."
        yield Line(format_time(from_ms(at_ms)), entry["payment_id"], "poll", words, "")
    told = _Told(detail)
    template = _SENTENCES.get(entry["kind"])
    words = template.format_map(told) if template else f"{entry['kind']}."
    yield Line(entry["at"], entry["payment_id"], entry["kind"], printable(words), told.rest())


class _Told(dict[str, str]):
    """The facts of an entry as its sentence names them; what it does not name is told behind it."""

    def __init__(self, detail: View) -> None:
        super().__init__({name: printable(value) for name, value in detail.items()})
        self._detail = detail
        self._used = {"polls", "amount", "currency"}
        self._tells_money = False

    def __missing__(self, name: str) -> str:
        return "unknown"

    def __getitem__(self, name: str) -> str:
        self._used.add(name)
        return self._money() if name == "money" else super().__getitem__(name)

    def _money(self) -> str:
        self._tells_money = True
        return money(self._detail.get("amount"), self._detail.get("currency"))

    def _said(self, name: str, value: object) -> object:
        """Return a fact; a limit in the form of the currency whose limit it is."""
        currency = self._detail.get("currency")
        if name == LIMIT and isinstance(value, int) and currency is not None:
            return money(value, currency)
        return _plain(value)

    def rest(self) -> str:
        """Return the facts that were not named."""
        facts = [
            f"{name.replace('_', ' ')} {printable(self._said(name, value))}"
            for name, value in self._detail.items()
            if name not in self._used and value not in (None, [], "")
        ]
        if self._detail.get("currency") is not None and not self._tells_money:
            facts.insert(0, self._money())
        return ", ".join(facts)


def _plain(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


_SENTENCES = {
    "payment.applied": "The shop applied for this payment through {gateway}: {money}.",
    "payment.created": "The gateway created the charge.",
    "payment.create_unknown": "The gateway did not say whether it created the charge: {problem}.",
    "payment.registered": "Registered with {gateway}, {money}; the watch began.",
    "payment.settled": "Paid, {money}: it settled the order. Known by {source}.",
    "payment.duplicated": "Paid too, {money}, known by {source}: it goes back ({reason}).",
    "payment.mismatched": "Paid, {money}, but its {reason} does not fit: a person has to look.",
    "payment.failed": "The gateway said by {source} that it failed: {reason}.",
    "payment.closed": "Closed, known by {source}: {reason}.",
    "payment.unresolved": "The watch ended without a definite word: {reason}. Asked hourly now.",
    "payment.reversed": "The gateway gave money back past payonce.",
    "payment.ignored": "A report by {source} changed nothing: {reason}.",
    "payment.closing": "To be closed at its gateway: {reason}.",
    "payment.close_refused": "Its gateway does not close it: it can still be paid.",
    "payment.watch_restarted": "The watch began anew.",
    "payment.resolved": "{by} ended its entry of the list as {as}: {why}.",
    "callback.received": "A callback came.",
    "callback.processed": "The callback was applied: {result}.",
    "order.acknowledged": "The order service has booked the payment, and said so by {by}.",
    "order.notify_asked": "{by} had the order service told again.",
    "order.cancelled": "The shop cancelled the order.",
    "refund.held": "Refund {refund_id} of {money} waits for a person: {rule}.",
    "refund.approved": "{by} approved refund {refund_id}, which {rule} held.",
    "refund.submitted": "Refund {refund_id} of {money} was sent, attempt {attempt}.",
    "refund.found": "Refund {refund_id} was found under way at its gateway.",
    "refund.manual": "Refund {refund_id} of {money} has to be paid back by a person: {because}.",
    "refund.succeeded": "Refund {refund_id} of {money} succeeded, known by {source}.",
    "refund.failed": "Refund {refund_id} of {money} failed, known by {source}.",
    "refund.rejected": "{by} rejected refund {refund_id} of {money}: {why}.",
    "refund.answered": "The gateway said of refund {refund_id}: {answer}.",
    "refund.contradicted": "The gateway said of refund {refund_id}, too late: {answer}.",
    "refund.resolved": "{by} took care of refund {refund_id} as {as}: {why}.",
}


RULES = {
    "kill-switch": "refunds are switched off",
    "gateway-kill-switch": "refunds through this gateway are switched off",
    "currency-not-listed": "its currency has no limit in the configuration",
    "over-limit": "its amount is above the limit",
    "max-per-order": "the order has had many refunds",
    "max-per-hour": "many refunds were sent within the hour",
    "gateway-max-per-hour": "many were sent through this gateway within the hour",
    "winner-reversed": "the payment that settled the order is not whole any more",
    "winner-unknown": "the winner's gateway is not configured",
    "not-captured": "its gateway does not read the payment as paid",
    "same-charge": "it would pay back the charge that settled an order; no approval helps",
    "already-refunded": "its gateway reads money as gone back already",
    "above-captured": "less is left of the charge than it asks for; no approval helps",
    "key-forgotten": "sent long ago, and the gateway knows nothing of it",
    "asked-by-person": "a person asked for it: another has to approve",
    "second-approval": "its amount needs two people, and one has approved",
}
"""What holds a refund, in words."""
