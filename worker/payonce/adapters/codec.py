"""Bytes on the bus and what they mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.events import Event
from payonce.domain.ids import check_id
from payonce.domain.messages import (
    CloseDue,
    NotifyDue,
    PollDue,
    RefundDue,
    check_gateway_ref,
)
from payonce.domain.money import check_amount
from payonce.domain.times import EARLIEST_MS, LATEST_MS, format_time

JSON = "application/json"
CLOUDEVENT = "application/cloudevents+json"
SOURCE = "/payonce"
MAX_BODY_BYTES = 65_536

_LONGEST_TRACEPARENT = 512
_LONGEST_EVENT_ID = 255
_LONGEST_OUTCOME = 64
_MOST = 2**31 - 1
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?")
_FIELD = re.compile(r"`\$\.?([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")

_encoder = msgspec.json.Encoder()
_poll_decoder = msgspec.json.Decoder(PollDue)
_close_decoder = msgspec.json.Decoder(CloseDue)
_refund_decoder = msgspec.json.Decoder(RefundDue)
_notify_decoder = msgspec.json.Decoder(NotifyDue)
_any_decoder = msgspec.json.Decoder()

Due = TypeVar("Due")


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from outside: its data, and the trace that it belongs to."""

    data: Mapping[str, Any]
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """A CloudEvent that came, as far as its envelope is used."""

    event_id: str
    type: str
    data: Mapping[str, Any]
    traceparent: str | None


def encode_due(message: PollDue | CloseDue | RefundDue | NotifyDue) -> bytes:
    """Return a message to ourselves as JSON."""
    return _encoder.encode(message)


def decode_poll(body: bytes) -> PollDue:
    """Return the poll in `body`, else raise InvalidField."""
    message = _decode_due(_poll_decoder, body)
    _check_charge(message)
    _check_count(message.step, "step")
    _check_count(message.epoch, "epoch")
    _check_ms(message.due_ms, "due_ms")
    _check_ms(message.expires_ms, "expires_ms")
    for step, at_ms, outcome in message.polls:
        _check_count(step, "polls")
        _check_ms(at_ms, "polls")
        if not 1 <= len(outcome) <= _LONGEST_OUTCOME or not outcome.isprintable():
            raise InvalidField("polls", "hold no outcome", "what payonce sent")
    return message


def decode_close(body: bytes) -> CloseDue:
    """Return the close in `body`, else raise InvalidField."""
    message = _decode_due(_close_decoder, body)
    _check_charge(message)
    _check_count(message.attempt, "attempt")
    if not message.reason.isprintable():
        raise InvalidField("reason", "is not printable", "what payonce sent")
    return message


def decode_refund(body: bytes) -> RefundDue:
    """Return the look at a refund in `body`, else raise InvalidField."""
    message = _decode_due(_refund_decoder, body)
    check_id(message.refund_id, "refund_id")
    _check_ids(message)
    _check_count(message.step, "step")
    return message


def decode_notify(body: bytes) -> NotifyDue:
    """Return the call to the order service in `body`, else raise InvalidField."""
    message = _decode_due(_notify_decoder, body)
    check_id(message.order_id, "order_id")
    check_id(message.payment_id, "payment_id")
    _check_count(message.attempt, "attempt")
    return message


def encode_event(event: Event) -> bytes:
    """Return `event` as a CloudEvent 1.0 in structured JSON."""
    return encode_cloudevent(
        event_id=event.event_id,
        event_type=event.type.value,
        subject=event.order_id,
        time=format_time(event.occurred_at),
        data=event.data,
        traceparent=event.traceparent,
    )


def encode_cloudevent(  # noqa: PLR0913 - the attributes of a CloudEvent
    *,
    event_id: str,
    event_type: str,
    subject: str,
    time: str,
    data: Mapping[str, Any],
    source: str = SOURCE,
    traceparent: str | None = None,
) -> bytes:
    """Return a CloudEvent 1.0 in structured JSON; `time` is RFC 3339."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "subject": subject,
        "time": time,
        "datacontenttype": JSON,
    }
    if traceparent is not None:
        envelope["traceparent"] = traceparent
    envelope["data"] = dict(data)
    return _encoder.encode(envelope)


def decode_inbound(body: bytes, content_type: str | None, expected_type: str) -> Inbound:
    """Return the data of a CloudEvent of `expected_type`, or of a bare JSON object.

    The content type tells which of the two it is; where it is missing, the shape does. A malformed
    traceparent is ignored, as W3C Trace Context asks. Raises InvalidField.
    """
    kind = None if not content_type else content_type.partition(";")[0].strip().lower()
    if kind not in {None, JSON, CLOUDEVENT}:
        allowed = f"{CLOUDEVENT}, {JSON}"
        raise InvalidField("content_type", f"{kind[:80]!r} is not understood", allowed)
    message = decode_object(body)
    if kind == CLOUDEVENT or (kind is None and "specversion" in message):
        return _open_envelope(message, expected_type)
    return Inbound(message, None)


def decode_cloudevent(body: bytes, expected_type: str) -> CloudEvent:
    """Return the CloudEvent of `expected_type` in `body`, else raise InvalidField."""
    message = decode_object(body)
    inbound = _open_envelope(message, expected_type)
    event_id = check_event_id(message.get("id"))
    return CloudEvent(event_id, expected_type, inbound.data, inbound.traceparent)


def decode_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in `body`, at most 64 KiB, else raise InvalidField."""
    _check_size(body)
    try:
        message = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidField("body", reason_of(error), "a JSON object in UTF-8") from None
    if not isinstance(message, dict):
        raise InvalidField("body", f"is a {type(message).__name__}", "a JSON object")
    return message


def check_event_id(value: object) -> str:
    """Return `value` if it can be an event's id, else raise InvalidField."""
    if (
        type(value) is not str
        or not 1 <= len(value) <= _LONGEST_EVENT_ID
        or not value.isprintable()
    ):
        raise InvalidField("id", f"{value!r:.80}", f"printable text of 1 to {_LONGEST_EVENT_ID}")
    return value


def check_traceparent(value: object) -> str | None:
    """Return `value` if it is a W3C traceparent, else None."""
    if type(value) is not str or len(value) > _LONGEST_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, parent_id, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    return value if int(trace_id, 16) and int(parent_id, 16) else None


def _open_envelope(message: Mapping[str, Any], expected_type: str) -> Inbound:
    if message.get("specversion") != "1.0":
        raise InvalidField("specversion", f"{message.get('specversion')!r:.80}", "1.0")
    if message.get("type") != expected_type:
        raise InvalidField("type", f"{message.get('type')!r:.80}", expected_type)
    data = message.get("data")
    if not isinstance(data, dict):
        raise InvalidField("data", "is missing or not an object", "a JSON object")
    return Inbound(data, check_traceparent(message.get("traceparent")))


def _decode_due(decoder: "msgspec.json.Decoder[Due]", body: bytes) -> Due:
    _check_size(body)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidField(field_of(str(error)), reason_of(error), "what payonce sent") from None


def _check_charge(message: PollDue | CloseDue) -> None:
    _check_ids(message)
    check_amount(message.amount)
    check_gateway_ref(message.gateway_ref)


def _check_ids(message: PollDue | CloseDue | RefundDue) -> None:
    check_id(message.payment_id, "payment_id")
    check_id(message.order_id, "order_id")
    check_id(message.gateway, "gateway")


def _check_count(value: int, field: str) -> None:
    if not 0 <= value <= _MOST:
        raise InvalidField(field, f"{value!r:.40} is out of range", f"0 to {_MOST}")


def _check_ms(value: int, field: str) -> None:
    if not EARLIEST_MS <= value <= LATEST_MS:
        allowed = f"{EARLIEST_MS} to {LATEST_MS}"
        raise InvalidField(field, f"{value!r:.40} is out of range", allowed)


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise InvalidField("body", f"has {len(body)} bytes", f"at most {MAX_BODY_BYTES}")


def field_of(problem: str) -> str:
    """Return the field that the library's complaint names, else `body`."""
    match = _FIELD.search(problem) or _MISSING.search(problem)
    return match.group(1) if match and match.group(1) else "body"


def reason_of(error: Exception) -> str:
    """Return in a line what is wrong with a body."""
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
