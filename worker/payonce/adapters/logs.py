"""Logs: JSON lines in production, coloured on a terminal, secrets masked everywhere."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = re.compile(r"(?i)secret|token|authori[sz]ation|passw|dsn|api_?key")
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
_BEARER = re.compile(r"(Bearer\s+|whsec_)[A-Za-z0-9+/=_.-]+")
MASK = "***"
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "pretty")

Event = MutableMapping[str, Any]


def configure_logs(environ: Mapping[str, str]) -> None:
    """Set up logging for this process: PAYONCE_LOG_LEVEL, PAYONCE_LOG_FORMAT (json, pretty)."""
    level = _level(environ.get("PAYONCE_LOG_LEVEL", "info"))
    chosen = environ.get("PAYONCE_LOG_FORMAT") or ("pretty" if sys.stderr.isatty() else "json")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    pretty = chosen == "pretty"
    last: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    if pretty:
        shared.append(keep_still)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_libraries(shared, last)


def mask(_logger: object, _method: str, event: Event) -> Event:
    """Mask secrets by the names of fields and by the look of text. A structlog processor."""
    return {
        name: MASK if _SECRET_NAMES.search(name) else _masked(one) for name, one in event.items()
    }


def keep_still(_logger: object, _method: str, event: Event) -> Event:
    """Take from text what a terminal would obey, whoever wrote it. A structlog processor."""
    return {name: _still(one) if isinstance(one, str) else one for name, one in event.items()}


def mask_text(text: str) -> str:
    """Return `text` without passwords in URLs, bearer tokens and webhook secrets."""
    return _BEARER.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", text))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return mask(None, "", dict(value))
    if isinstance(value, list | tuple):
        return [_masked(one) for one in value]
    return value


def _still(text: str) -> str:
    # Tracebacks are many lines; every other control is written out.
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text
    )


def _level(name: str) -> int:
    return int(getattr(logging, name.upper())) if name.lower() in LEVELS else logging.INFO


def _route_libraries(shared: list[Any], last: Any) -> None:
    """Send what libraries log through the same processors, warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # aiormq tells of every lost connection with a traceback; ours is one line.
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
