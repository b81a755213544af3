"""Identifiers: which ones are valid, and which ones follow from others."""

import re
from uuid import UUID, uuid5

from payonce.domain.errors import InvalidField

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_NAMESPACE = UUID("6f0d3f5e-5d5c-5a7b-9a53-0d2c5a1f7e11")
ALLOWED_ID = "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"


def check_id(value: object, field: str) -> str:
    """Return `value` if it is a valid id, else raise InvalidField."""
    if value is None:
        raise InvalidField(field, "is missing", ALLOWED_ID)
    if type(value) is not str or _ID.fullmatch(value) is None:
        raise InvalidField(field, f"{_short(value)} is not an id", ALLOWED_ID)
    return value


def event_id(event_type: str, about: str) -> str:
    """Return the id of the one event of `event_type` about one thing, the same at every retry.

    `about` is the id of that thing: the order of `payment.succeeded`, the payment of the other
    payment events, the refund of refund events.
    """
    return str(uuid5(_NAMESPACE, f"{event_type}/{about}"))


def refund_id(payment_id: str, attempt: int = 1) -> str:
    """Return the id of a payment's refund: one for ever, a new one only for a new attempt."""
    return f"rf-{uuid5(_NAMESPACE, f'refund/{payment_id}/{attempt}')}"


def payment_id(about: str) -> str:
    """Return the id of the payment that comes of one application, the same at every try."""
    return f"p_{uuid5(_NAMESPACE, f'payment/{about}').hex}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
