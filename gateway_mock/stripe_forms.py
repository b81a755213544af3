"""Requests as Stripe takes them: forms with brackets, checked by name and kind; keys of a day."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

KEY_LIVES_S = 24 * 3_600.0
MOST_KEY_CHARACTERS = 255
MOST_METADATA_KEYS = 50

ZERO_DECIMAL = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()  # noqa: SIM905 - reads as a list
)
TWO_DECIMAL_WHOLE = frozenset({"isk", "ugx"})
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

_PART = re.compile(r"([^\[\]]+)|\[([^\[\]]*)\]")

Form = dict[str, Any]


class StripeError(Exception):
    """An answer that is not 200. `kept`: the endpoint had begun, so that its key replays it."""

    def __init__(  # noqa: PLR0913 - the fields of an error
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        param: str = "",
        kind: str = "invalid_request_error",
        more: Mapping[str, Any] | None = None,
        kept: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.body: dict[str, Any] = {
            "error": {
                "type": kind,
                "message": message,
                **({"code": code} if code else {}),
                **({"param": param} if param else {}),
                **(more or {}),
            }
        }


def parse_form(text: str) -> Form:
    """Return a form with brackets as nested objects. Raises StripeError."""
    form: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        parts = [bare or inner for bare, inner in _PART.findall(name)]
        place = form
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise StripeError(400, f"Invalid parameter {name}", param=name)
        place[parts[-1]] = value
    return form


def listed(value: object, name: str) -> list[Any]:
    """Return the values of a list, which is written with its indexes."""
    if not isinstance(value, dict) or list(value) != [str(n) for n in range(len(value))]:
        raise StripeError(400, f"Invalid array {name}", param=name)
    return list(value.values())


def refuse_unknown(form: Mapping[str, Any], known: frozenset[str], within: str = "") -> None:
    """Raise StripeError on a parameter that the endpoint does not have."""
    for name in form:
        if name not in known:
            full = f"{within}[{name}]" if within else name
            message = f"Received unknown parameter: {full}"
            if name == "payment_method_types":
                code = "payment_method_types_no_longer_supported"
                raise StripeError(400, message, code=code, param=full)
            raise StripeError(400, message, code="parameter_unknown", param=full)


def need(form: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that must be there."""
    if name not in form or form[name] == "":
        message = f"Missing required param: {name}."
        raise StripeError(400, message, code="parameter_missing", param=name)
    return form[name]


def integer(value: object, name: str, low: int = 0, high: int = 99_999_999) -> int:
    """Return an integer parameter; amounts have eight digits at most."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}", value):
        message = f"Invalid integer: {value}"
        raise StripeError(400, message, code="parameter_invalid_integer", param=name)
    number = int(value)
    if not low <= number <= high:
        raise StripeError(400, f"{name} must be from {low} to {high}", param=name)
    return number


def currency(value: object) -> str:
    """Return a currency, which is written in small letters."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{3}", value):
        raise StripeError(400, f"Invalid currency: {value}", param="currency")
    return value


def check_amount(amount: int, code: str) -> None:
    """Raise StripeError where a currency has no such amount (docs.stripe.com/currencies)."""
    if code in TWO_DECIMAL_WHOLE and amount % 100:
        raise StripeError(
            400,
            f"Invalid amount. {code.upper()} amounts must be evenly divisible by 100.",
            code="invalid_charge_amount_no_decimal_compatible",
            param="amount",
        )
    if code in THREE_DECIMAL and amount % 10:
        raise StripeError(400, "Invalid amount: the last digit must be 0", param="amount")


def metadata(value: object) -> dict[str, str]:
    """Return metadata: 50 keys of 40 characters with values of 500."""
    if not isinstance(value, dict) or len(value) > MOST_METADATA_KEYS:
        raise StripeError(400, "Invalid metadata", param="metadata")
    for name, one in value.items():
        if len(name) > 40 or not isinstance(one, str) or len(one) > 500:
            raise StripeError(400, f"Metadata {name} is too long", param=f"metadata[{name}]")
    return dict(value)


def expands(form: Mapping[str, Any], *known: str) -> None:
    """Check what shall be expanded."""
    for one in listed(form.get("expand", {}), "expand"):
        if one not in known:
            raise StripeError(400, f"This property cannot be expanded ({one}).", param="expand")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a key was first used for, and what that was answered; None: it is being worked on."""

    print: str
    at: float
    answer: tuple[int, dict[str, Any]] | None


class Keys:
    """The idempotency keys of an account (docs.stripe.com/api/idempotent_requests)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    def begin(self, key: str, path: str, body: str) -> tuple[int, dict[str, Any]] | None:
        """Return the answer to replay; None: this is the first time. Raises StripeError."""
        if not 1 <= len(key) <= MOST_KEY_CHARACTERS:
            raise StripeError(400, "Idempotency-Key must have 1 to 255 characters")
        print_ = hashlib.sha256(f"{path}\n{body}".encode()).hexdigest()
        kept = self._kept.get(key)
        if kept is None or self._clock() - kept.at >= KEY_LIVES_S:
            self._kept[key] = Kept(print_, self._clock(), None)
            return None
        if kept.print != print_:
            raise StripeError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}'.",
                kind="idempotency_error",
            )
        if kept.answer is None:
            raise StripeError(
                409,
                f"There is currently another in-progress request using this key {key}.",
                code="idempotency_key_in_use",
                kind="idempotency_error",
            )
        return kept.answer

    def keep(self, key: str, answer: tuple[int, dict[str, Any]]) -> None:
        """Keep what is answered from now on."""
        kept = self._kept[key]
        self._kept[key] = Kept(kept.print, kept.at, answer)

    def drop(self, key: str) -> None:
        """Forget a request that was refused before anything began."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
