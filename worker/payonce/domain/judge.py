"""Many reports at once: each decision sees what the ones before it changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from payonce.domain.decide import Facts, Verdict, decide
from payonce.domain.effects import Effects, Occasion, work_out
from payonce.domain.report import GatewayReport


@dataclass(frozen=True, slots=True)
class Hearing:
    """A report about one payment, how it came, and whether it is the last of its watch."""

    payment_id: str
    report: GatewayReport
    occasion: Occasion
    watch_ended: bool = False


def judge(hearings: Sequence[Hearing], locked: Mapping[str, Facts]) -> list[Effects | None]:
    """Return the effects of each hearing, in order; None where the payment is not registered.

    Two payments of one order may stand in one call, and two that report the same gateway_ref.
    """
    orders = {facts.order.order_id: facts.order for facts in locked.values()}
    payments = {payment_id: facts.payment for payment_id, facts in locked.items()}
    owners: dict[tuple[str, str], str] = {}
    results: list[Effects | None] = []
    for hearing in hearings:
        facts = locked.get(hearing.payment_id)
        if facts is None:
            results.append(None)
            continue
        payment = payments[hearing.payment_id]
        ref = (payment.gateway, hearing.report.gateway_ref or "")
        current = Facts(orders[payment.order_id], payment, owners.get(ref, facts.ref_owner))
        effects = _judge_one(current, hearing)
        orders[payment.order_id] = effects.order
        payments[hearing.payment_id] = effects.payment
        if effects.payment.gateway_ref:
            owners[payment.gateway, effects.payment.gateway_ref] = hearing.payment_id
        results.append(effects)
    return results


def writes(results: Sequence[Effects | None]) -> list[Effects]:
    """Return those effects that change something."""
    return [one for one in results if one and one.decision.verdict is not Verdict.IGNORED]


def _judge_one(facts: Facts, hearing: Hearing) -> Effects:
    decision = decide(facts, hearing.report, watch_ended=hearing.watch_ended)
    return work_out(facts, hearing.report, decision, hearing.occasion)
