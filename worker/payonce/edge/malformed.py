"""What comes over the wire and is no HTTP: a line in the log, without what was sent."""

import logging

import structlog
from aiohttp.http_exceptions import HttpProcessingError

log = structlog.get_logger(__name__)

_SERVER = "aiohttp.server"


class _Malformed(logging.Filter):
    """Takes the library's tracebacks of malformed requests, which would quote headers and paths."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        log.info("request.malformed", reason=type(error).__name__)
        return False


_malformed = _Malformed()


def log_malformed() -> None:
    """Have malformed requests logged so, in this process. Doing it twice changes nothing."""
    logging.getLogger(_SERVER).addFilter(_malformed)
