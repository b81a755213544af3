"""Every error of payonce, in one place; data in fields, the sentence in the docstring."""

from dataclasses import dataclass


class PayonceError(Exception):
    """Base of every error that payonce raises on purpose."""


@dataclass
class InvalidField(PayonceError):
    """A value from outside is not what its field allows."""

    field: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; allowed: {self.allowed}"


@dataclass
class IllegalTransition(PayonceError):
    """A status was asked to change in a way that its table does not hold."""

    kind: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} may not go from {self.before} to {self.after}"


@dataclass
class Unavailable(PayonceError):
    """A server that the work needs is away: keep the work, wait, try again."""

    server: str
    problem: str

    def __str__(self) -> str:
        return f"{self.server} is unavailable: {self.problem}"


@dataclass
class Unroutable(PayonceError):
    """The broker returned a message because no queue is bound for its routing key."""

    exchange: str
    routing_key: str

    def __str__(self) -> str:
        return f"no queue is bound to {self.exchange} for {self.routing_key}"


@dataclass
class GatewayRetryable(PayonceError):
    """The gateway did not take the call: nothing happened there, ask again later.

    `alone`: that is said of what was asked for, not of the gateway, which others may go on asking.
    """

    gateway: str
    problem: str
    retry_after_s: float | None = None
    alone: bool = False

    def __str__(self) -> str:
        return f"gateway {self.gateway} asks to come back later: {self.problem}"


@dataclass
class GatewayRefused(PayonceError):
    """The gateway refused the call for good."""

    gateway: str
    code: str
    problem: str

    def __str__(self) -> str:
        return f"gateway {self.gateway} refused: {self.code} {self.problem}"


@dataclass
class GatewayAmbiguous(PayonceError):
    """The call may or may not have taken effect: query before it is repeated with the same id."""

    gateway: str
    problem: str

    def __str__(self) -> str:
        return f"gateway {self.gateway} left the outcome open: {self.problem}"


@dataclass
class BadCallback(PayonceError):
    """A callback is not proven to be its gateway's and of now; `code` names the reason."""

    code: str
    problem: str

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}"


@dataclass
class UnknownGateway(PayonceError):
    """A gateway was named that is not configured and never was treated in a special way."""

    gateway: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"no gateway {self.gateway!r} is known; known: {', '.join(self.known)}"


@dataclass
class UnknownId(PayonceError):
    """Nothing of this kind has this id."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"no {self.kind} {self.id} is known"


@dataclass
class Conflict(PayonceError):
    """What was asked for goes against a rule, which is named."""

    rule: str
    problem: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.problem}"


@dataclass
class BadSettings(PayonceError):
    """The configuration holds an unknown key or a bad value."""

    key: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        return f"configuration: {self.key}: {self.problem}; allowed: {self.allowed}"


@dataclass
class BrokerConflict(PayonceError):
    """A queue or exchange exists on the broker, but not as payonce needs it."""

    name: str
    problem: str

    def __str__(self) -> str:
        return (
            f"rabbitmq holds {self.name} with other arguments: {self.problem}; "
            "stop its users, let it drain, delete it, and start again"
        )


@dataclass
class MigrationFailed(PayonceError):
    """The database schema cannot be brought to, or is not at, what this version needs."""

    migration: str
    problem: str

    def __str__(self) -> str:
        return f"migration {self.migration}: {self.problem}"


@dataclass
class TaskDied(PayonceError):
    """A supervised task ended although the daemon was not stopping."""

    task: str
    problem: str

    def __str__(self) -> str:
        return f"task {self.task} died: {self.problem}"
