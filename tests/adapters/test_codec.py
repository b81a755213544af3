from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.adapters.codec import (
    CLOUDEVENT,
    JSON,
    MAX_BODY_BYTES,
    Inbound,
    check_traceparent,
    decode_close,
    decode_cloudevent,
    decode_inbound,
    decode_notify,
    decode_poll,
    decode_refund,
    encode_due,
    encode_event,
)
from payonce.domain.errors import InvalidField
from payonce.domain.events import EventType, make_event
from payonce.domain.messages import CloseDue, Mode, NotifyDue, PollDue, RefundDue
from payonce.domain.times import EARLIEST_MS, LATEST_MS

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 2, 1_700_000_000_123, 1_700_007_200_000)
CLOSE = CloseDue("p-1", "o-1", "mock", 1999, "CNY", "order-paid", None, 1)
LOOK = RefundDue("rf-1", "p-1", "o-1", "mock", 1_700_000_000_123, 3)

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", fullmatch=True)
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=64)
refs = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=64)
counts = st.integers(0, 2**31 - 1)
times_ms = st.integers(EARLIEST_MS, LATEST_MS)


@given(
    st.builds(
        PollDue,
        payment_id=ids,
        order_id=ids,
        gateway=ids,
        amount=st.integers(1, 10**15),
        currency=names,
        step=counts,
        due_ms=times_ms,
        expires_ms=times_ms,
        epoch=counts,
        gateway_ref=st.none() | refs,
        mode=st.sampled_from(Mode),
        polls=st.lists(st.tuples(counts, times_ms, names), max_size=12).map(tuple),
    )
)
def test_poll_survives_the_bus(message: PollDue) -> None:
    """What is sent as a poll is received as the same poll."""
    assert message == decode_poll(encode_due(message))


def test_close_survives_the_bus() -> None:
    """What is sent as a close is received as the same close."""
    assert CLOSE == decode_close(encode_due(CLOSE))


def test_poll_of_a_later_version_is_understood() -> None:
    """A field that this version does not know is ignored."""
    body = msgspec.json.encode({**msgspec.to_builtins(POLL), "later": 1})
    assert POLL == decode_poll(body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"step": "2"}, "step"),
        ({"step": -1}, "step"),
        ({"step": 2**31}, "step"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": 2**31}, "epoch"),
        ({"payment_id": "p\x00"}, "payment_id"),
        ({"order_id": ""}, "order_id"),
        ({"gateway": "o" * 65}, "gateway"),
        ({"gateway_ref": "\x00"}, "gateway_ref"),
        ({"amount": 2**63}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"mode": "never"}, "mode"),
        ({"polls": [[1, 2]]}, "polls[0]"),
        ({"polls": [[1, 2**62, "PENDING"]]}, "polls"),
        ({"polls": [[-1, 2, "PENDING"]]}, "polls"),
        ({"polls": [[1, 2, "\x1b[2J"]]}, "polls"),
        ({"polls": [[1, 2, "x" * 65]]}, "polls"),
        ({"due_ms": 2**62}, "due_ms"),
        ({"expires_ms": -(2**62)}, "expires_ms"),
    ],
)
def test_wrong_poll_names_its_field(change: dict[str, object], field: str) -> None:
    """A poll that payonce did not send is refused, naming what is wrong with it."""
    body = msgspec.json.encode({**msgspec.to_builtins(POLL), **change})
    with pytest.raises(InvalidField) as caught:
        decode_poll(body)
    assert field == caught.value.field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"payment_id": "\x00"}, "payment_id"),
        ({"order_id": "o 1"}, "order_id"),
        ({"gateway": "\x00"}, "gateway"),
        ({"gateway_ref": ""}, "gateway_ref"),
        ({"attempt": -9}, "attempt"),
        ({"attempt": 2**62}, "attempt"),
        ({"reason": "\x00"}, "reason"),
    ],
)
def test_wrong_close_names_its_field(change: dict[str, object], field: str) -> None:
    """A close that payonce did not send is refused, naming what is wrong with it."""
    body = msgspec.json.encode({**msgspec.to_builtins(CLOSE), **change})
    with pytest.raises(InvalidField) as caught:
        decode_close(body)
    assert field == caught.value.field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"refund_id": "\x00"}, "refund_id"),
        ({"payment_id": "\x00"}, "payment_id"),
        ({"order_id": ""}, "order_id"),
        ({"gateway": "\x00"}, "gateway"),
        ({"step": -1}, "step"),
        ({"step": 2**31}, "step"),
    ],
)
def test_wrong_look_at_a_refund_names_its_field(change: dict[str, object], field: str) -> None:
    """A look that payonce did not send is refused, naming what is wrong with it."""
    body = msgspec.json.encode({**msgspec.to_builtins(LOOK), **change})
    with pytest.raises(InvalidField) as caught:
        decode_refund(body)
    assert field == caught.value.field


NOTICE = NotifyDue("o-1", "p-1", 2)


def test_notice_survives_the_bus() -> None:
    """What is sent as a call that is due is received as the same."""
    assert NOTICE == decode_notify(encode_due(NOTICE))


def test_what_a_notice_says_beside_its_ids_is_not_read() -> None:
    """Such as the event that messages carried once, or that somebody would have us sign."""
    more = {"event_id": "e-1", "data": {"amount": 1}, "due_ms": 1, "occurred_at": "yesterday"}
    body = msgspec.json.encode({**msgspec.to_builtins(NOTICE), **more})
    assert NOTICE == decode_notify(body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_id": "o 1"}, "order_id"),
        ({"payment_id": "\x00"}, "payment_id"),
        ({"attempt": -1}, "attempt"),
    ],
)
def test_wrong_notice_names_its_field(change: dict[str, object], field: str) -> None:
    """A call that payonce did not put there is refused, naming what is wrong with it."""
    body = msgspec.json.encode({**msgspec.to_builtins(NOTICE), **change})
    with pytest.raises(InvalidField) as caught:
        decode_notify(body)
    assert field == caught.value.field


def test_look_at_a_refund_survives_the_bus() -> None:
    """What is sent as a look is received as the same look."""
    assert LOOK == decode_refund(encode_due(LOOK))


def test_poll_without_a_field_names_it() -> None:
    """A missing field is named."""
    body = {name: value for name, value in msgspec.to_builtins(POLL).items() if name != "amount"}
    with pytest.raises(InvalidField, match="amount"):
        decode_poll(msgspec.json.encode(body))


def test_event_is_a_structured_cloudevent() -> None:
    """An event carries the attributes of CloudEvents 1.0 and its data."""
    at = datetime(2026, 1, 31, 8, tzinfo=UTC)
    event = make_event(EventType.PAYMENT_SUCCEEDED, "o-1", "o-1", at, {"amount": 1999}, TRACE)
    assert {
        "specversion": "1.0",
        "id": event.event_id,
        "source": "/payonce",
        "type": "payment.succeeded",
        "subject": "o-1",
        "time": "2026-01-31T08:00:00.000Z",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": {"amount": 1999},
    } == msgspec.json.decode(encode_event(event))


def test_event_without_a_trace_has_no_traceparent() -> None:
    """An absent attribute is absent, not null."""
    at = datetime(2026, 1, 31, 8, tzinfo=UTC)
    event = make_event(EventType.PAYMENT_FAILED, "p-1", "o-1", at, {}, None)
    assert "traceparent" not in msgspec.json.decode(encode_event(event))


def envelope(**changes: object) -> bytes:
    """Return a CloudEvent of payment.initiated; a change to None removes the attribute."""
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop",
        "type": "payment.initiated",
        "traceparent": TRACE,
        "data": {"payment_id": "p-1"},
    }
    changed = {**event, **changes}
    return msgspec.json.encode({name: one for name, one in changed.items() if one is not None})


@pytest.mark.parametrize("content_type", [CLOUDEVENT, f"{CLOUDEVENT}; charset=utf-8", None, ""])
def test_cloudevent_is_opened(content_type: str | None) -> None:
    """A CloudEvent is known by its content type, or without one by its shape."""
    assert Inbound({"payment_id": "p-1"}, TRACE) == decode_inbound(
        envelope(), content_type, "payment.initiated"
    )


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON; charset=utf-8", None])
def test_bare_data_is_taken(content_type: str | None) -> None:
    """A bare data object is known by its content type, or without one by its shape."""
    assert Inbound({"payment_id": "p-1"}, None) == decode_inbound(
        b'{"payment_id":"p-1"}', content_type, "payment.initiated"
    )


@pytest.mark.parametrize(
    ("body", "content_type", "field"),
    [
        (envelope(specversion="0.3"), CLOUDEVENT, "specversion"),
        (envelope(specversion=None), CLOUDEVENT, "specversion"),
        (envelope(type="payment.initiated.v2"), CLOUDEVENT, "type"),
        (envelope(data=None), CLOUDEVENT, "data"),
        (envelope(data="p-1"), CLOUDEVENT, "data"),
        (b"", JSON, "body"),
        (b"{", JSON, "body"),
        (b"null", JSON, "body"),
        (b"[]", JSON, "body"),
        (b'{"a":"\xff"}', JSON, "body"),
        (b'{"a":NaN}', JSON, "body"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, JSON, "body"),
        (b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}', JSON, "body"),
        (b"{}", "text/plain", "content_type"),
        (b"{}", "application/x-protobuf", "content_type"),
    ],
)
def test_garbage_names_what_is_wrong(body: bytes, content_type: str, field: str) -> None:
    """Whatever a stranger sends is refused with the field that is wrong, and nothing else."""
    with pytest.raises(InvalidField) as caught:
        decode_inbound(body, content_type, "payment.initiated")
    assert field == caught.value.field


@given(st.binary(max_size=300), st.none() | st.sampled_from([JSON, CLOUDEVENT, "x"]))
def test_no_bytes_raise_anything_else(body: bytes, content_type: str | None) -> None:
    """Random bytes are refused or understood; nothing else happens."""
    with suppress(InvalidField):
        assert decode_inbound(body, content_type, "payment.initiated").traceparent is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (TRACE, TRACE),
        (TRACE.replace("00-", "cc-", 1) + "-later", TRACE.replace("00-", "cc-", 1) + "-later"),
        (f"cc{TRACE[2:]}-\r\nX-Evil: 1", None),
        (f"cc{TRACE[2:]}-\rX-Evil:1", None),
        (f"cc{TRACE[2:]}-two words", None),
        (f"cc{TRACE[2:]}-\xe9", None),
        (f"cc{TRACE[2:]}-\udcff", None),
        (f"cc{TRACE[2:]}-{'x' * 512}", None),
        (TRACE + "-more", None),
        (TRACE.replace("00-", "ff-", 1), None),
        (TRACE.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None),
        ("", None),
        (7, None),
        (TRACE + "\n", None),
    ],
)
def test_traceparent_is_checked(value: object, expected: str | None) -> None:
    """A traceparent passes only in the form of W3C Trace Context."""
    assert expected == check_traceparent(value)


def test_bad_traceparent_is_ignored() -> None:
    """A malformed traceparent costs the trace, not the message."""
    inbound = decode_inbound(envelope(traceparent="nonsense"), CLOUDEVENT, "payment.initiated")
    assert Inbound({"payment_id": "p-1"}, None) == inbound


@pytest.mark.parametrize("event_id", [None, "", "e\r\nX-Evil: 1", "e" * 256, 7])
def test_cloudevent_needs_an_id(event_id: object) -> None:
    """A consumer that drops repeats by id needs one, which may stand in a header."""
    with pytest.raises(InvalidField, match=r"^id"):
        decode_cloudevent(envelope(id=event_id), "payment.initiated")
