"""How every adapter calls its gateway: in its places, measured, its secrets kept to itself."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import aiohttp
from yarl import URL

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.client import Answer, NoAnswer, call
from payonce.gateways.places import Places
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings

OK = frozenset({200, 201})
TIMED_OUT = 408


@dataclass(frozen=True, slots=True)
class Asking:
    """One call: its name in the metrics, and the parts of its request.

    `may_leave` is asked directly before the call, after all waiting.
    """

    name: str
    method: str
    url: URL
    headers: Mapping[str, str]
    content: bytes | None = None
    may_leave: Callable[[], bool] | None = None


class Caller:
    """Calls one gateway. `secrets`: what its answers may not repeat to anybody."""

    def __init__(
        self,
        settings: GatewaySettings,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
        secrets: Iterable[str] = (),
    ) -> None:
        self.name = settings.name
        self._session = session
        self._meter = meter
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._echoes = tuple(form.encode() for one in secrets for form in _written(one))
        self._places = Places(settings.max_in_flight)

    def long_full(self) -> bool:
        """Say whether all places have been taken for long: whoever waits keeps others from them."""
        return self._places.long_full()

    async def ask(self, asking: Asking) -> Answer | NoAnswer:
        """Return the answer, or why there is none; never raises."""
        async with self._places:
            if asking.may_leave is not None and not asking.may_leave():
                return NoAnswer("decided too long ago", sent=False)
            started = time.perf_counter()
            answer = await self._call(asking)
        seconds = time.perf_counter() - started
        self._meter.gateway_asked(self.name, asking.name, outcome_of(answer), seconds)
        return answer

    def accepted(self, answer: Answer | NoAnswer, said: Callable[[Answer], str]) -> Answer:
        """Return an answer that says yes; raise what any other one means for a call that acts.

        `said` finds the gateway's words in a refusal. Raises GatewayRetryable, GatewayRefused,
        GatewayAmbiguous.
        """
        if isinstance(answer, NoAnswer):
            if answer.sent:
                raise GatewayAmbiguous(self.name, answer.problem)
            raise GatewayRetryable(self.name, answer.problem)
        if answer.status in OK:
            return answer
        code = f"http-{answer.status}"
        if is_not_taken(answer):
            raise GatewayRetryable(self.name, code, answer.retry_after_s)
        if 400 <= answer.status < 500 and answer.status != TIMED_OUT:
            raise GatewayRefused(self.name, code, said(answer))
        raise GatewayAmbiguous(self.name, code)

    async def _call(self, asking: Asking) -> Answer | NoAnswer:
        try:
            answer = await call(
                self._session,
                asking.method,
                asking.url,
                asking.headers,
                self._timeout,
                asking.content,
            )
        except NoAnswer as error:
            return error
        return self._without_echo(answer)

    def _without_echo(self, answer: Answer) -> Answer:
        """Return the answer without our secrets, which some servers repeat in what they say."""
        body = answer.body
        for echo in self._echoes:
            if echo in body:
                body = body.replace(echo, b"***")
        return answer if body is answer.body else replace(answer, body=body)


def outcome_of(answer: Answer | NoAnswer) -> str:
    """Return how a call ended, for metrics and breaker: being busy is no failure."""
    if isinstance(answer, NoAnswer):
        return "no-answer"
    return "busy" if is_not_taken(answer) else f"{answer.status // 100}xx"


def is_not_taken(answer: Answer) -> bool:
    """Say whether the gateway did not act. A 503 without Retry-After may be any proxy's."""
    return answer.status == 429 or (answer.status == 503 and answer.retry_after_s is not None)


def unknown(answer: Answer | NoAnswer) -> GatewayReport:
    """Return the report of a query that brought no word."""
    if isinstance(answer, NoAnswer):
        return GatewayReport(Outcome.UNKNOWN, reason=answer.problem)
    return GatewayReport(
        Outcome.UNKNOWN, reason=f"http-{answer.status}", retry_after_s=answer.retry_after_s
    )


def _written(secret: str) -> set[str]:
    """Return the ways in which JSON writes a secret."""
    return {secret, secret.replace("/", "\\/")}
