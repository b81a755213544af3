"""A charge is created: with the payment's id as key, repeated while nobody knows whether it was."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport
from payonce.ports.clock import Clock
from payonce.ports.gateway import CreatedCharge, Gateway, NewCharge

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 4
FIRST_PAUSE_S = 0.2

PAUSED = "paused"
"""The problem of a call that was not made because a person has paused the gateway."""


@dataclass(frozen=True, slots=True)
class Created:
    """The gateway has the charge."""

    report: GatewayReport
    qr: str | None
    pay_url: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The gateway has no charge of ours: it refused the last of `attempts`, or was never asked."""

    problem: str
    attempts: int = 0
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class CreateUnknown:
    """Nobody knows whether the gateway has the charge; the watch will see."""

    problem: str
    attempts: int


Charging = Created | NotCreated | CreateUnknown

_Problem = GatewayRefused | GatewayRetryable | GatewayAmbiguous


async def create_charge(
    gateway: Gateway, charge: NewCharge, budget_s: float, clock: Clock, *, is_first: bool
) -> Charging:
    """Create `charge`, again and again within `budget_s`, always under the same key.

    A refusal is definite only while nothing was sent before that may have taken effect; `is_first`
    says that nobody has tried to create this charge yet.
    """
    until = clock.now() + timedelta(seconds=budget_s)
    is_clean, pause_s, attempt = is_first, FIRST_PAUSE_S, 1
    while True:
        answer = await _try(gateway, charge)
        if isinstance(answer, CreatedCharge):
            return Created(answer.report, answer.qr, answer.pay_url, attempt)
        is_clean = is_clean and not isinstance(answer, GatewayAmbiguous)
        is_over = _is_final(answer)
        if is_clean and is_over:
            is_paused = isinstance(answer, GatewayRetryable)
            return NotCreated(_words(answer), 0 if is_paused else attempt, is_paused)
        wait_s = _wait_s(answer, pause_s)
        if is_over or attempt == MOST_ATTEMPTS or clock.now() + timedelta(seconds=wait_s) >= until:
            return CreateUnknown(_words(answer), attempt)
        log.info("create.repeated", payment_id=charge.payment_id, reason=_words(answer))
        await clock.sleep(wait_s)
        attempt, pause_s = attempt + 1, pause_s * 2


async def _try(gateway: Gateway, charge: NewCharge) -> CreatedCharge | _Problem:
    """Return the charge, or what stood in its way; nobody may be shown one over another amount."""
    try:
        created = await gateway.create(charge)
    except (GatewayRefused, GatewayRetryable, GatewayAmbiguous) as error:
        return error
    if (created.report.amount, created.report.currency) != (charge.amount, charge.currency):
        return GatewayAmbiguous(gateway.name, "nonsense: the charge is over another amount")
    return created


def _is_final(problem: _Problem) -> bool:
    """Say whether another try would be answered in the same way."""
    match problem:
        case GatewayRefused():
            return True
        case GatewayRetryable():
            return problem.problem.partition(" ")[0] == PAUSED
        case GatewayAmbiguous():
            return False


def _words(problem: _Problem) -> str:
    code = problem.code if isinstance(problem, GatewayRefused) else ""
    return f"{code} {problem.problem}".strip()


def _wait_s(problem: _Problem, pause_s: float) -> float:
    asked_for = problem.retry_after_s if isinstance(problem, GatewayRetryable) else None
    return max(pause_s, asked_for or 0.0)
