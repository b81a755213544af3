"""Times: RFC 3339 in UTC outside, aware datetimes and integers of milliseconds inside."""

from datetime import UTC, datetime, timedelta

from payonce.domain.errors import InvalidField

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
EARLIEST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
LATEST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
"""The first and the last millisecond of which there is a time: years 1 and 9999."""
ALLOWED_TIME = "RFC 3339 with a zone, such as 2026-01-31T08:00:00Z"


def to_ms(time: datetime) -> int:
    """Return milliseconds since 1970 in UTC, fractions cut off."""
    return (time - _EPOCH) // _MILLISECOND


def from_ms(time_ms: int) -> datetime:
    """Return the aware UTC time of milliseconds since 1970; the nearest one if there is none."""
    return _EPOCH + timedelta(milliseconds=min(max(time_ms, EARLIEST_MS), LATEST_MS))


def format_time(time: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and a Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(value: object, field: str) -> datetime:
    """Return the aware UTC time that RFC 3339 text names, else raise InvalidField."""
    if type(value) is not str:
        raise InvalidField(field, f"{value!r} is not a time", ALLOWED_TIME)
    time = _read(value)
    if time is None or time.tzinfo is None or "T" not in value.upper():
        raise InvalidField(field, f"{value[:60]!r} is not a time", ALLOWED_TIME)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidField(field, f"{value[:60]!r} is out of range", ALLOWED_TIME) from None


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
