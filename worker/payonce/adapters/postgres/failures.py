"""What PostgreSQL and asyncpg raise, translated once."""

from urllib.parse import unquote, urlsplit

import asyncpg

from payonce.domain.errors import BadSettings, PayonceError, Unavailable
from payonce.egress import tls_problem

SERVER = "postgresql"

CONFLICTS = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    # A migration has changed a table under a prepared statement; asyncpg prepares it anew.
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
"""Nothing was written and the same again may succeed at once."""

FOREIGN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What `translate` wants to see; TimeoutError and ssl.SSLError are OSErrors."""

_ALLOWED_DSN = "postgresql://user:password@host:port/database"

_AWAY_CLASSES = frozenset(
    {
        "08",  # connection exceptions
        "28",  # the server does not let us in
        "3D",  # no such database
        "53",  # disk full, out of memory, too many connections
        "57",  # shut down, starting up, cancelled by a time-out
        "58",  # the server's own I/O errors
    }
)
"""Classes of SQLSTATE (PostgreSQL manual, appendix A) that say: not now."""

_AWAY_STATES = frozenset(
    {
        "42501",  # this login may not do that; nothing is lost until somebody lets it
        "25006",  # read-only: this server was a primary and is a standby now
        "25P03",  # idle in transaction for too long
        "25P04",  # transaction time-out
        "55P03",  # a lock was not to be had in time
    }
)


def translate(error: Exception, dsn: str = "") -> PayonceError | None:
    """Return what payonce calls a foreign error, without the password in `dsn`; None: a bug."""
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return BadSettings("PAYONCE_POSTGRES_DSN", _describe(error, dsn), _ALLOWED_DSN)
    if isinstance(error, asyncpg.DataError | asyncpg.exceptions.UnsupportedClientFeatureError):
        return None
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return Unavailable(SERVER, _describe(error, dsn))
    if isinstance(error, asyncpg.PostgresError) and _is_away(error):
        return Unavailable(SERVER, _describe(error, dsn))
    return None


def is_demoted(error: Exception) -> bool:
    """Say whether the server refuses to write, so that its connections are useless."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def _is_away(error: asyncpg.PostgresError) -> bool:
    state = error.sqlstate or ""
    return state[:2] in _AWAY_CLASSES or state in _AWAY_STATES


def _describe(error: Exception, dsn: str) -> str:
    problem = _tls_problem(error)
    if problem is not None:
        return f"{_place_of(dsn)}: {problem}"
    password = _password_of(dsn)
    text = " ".join(str(error).split()) or "no answer in time"
    if password:
        text = text.replace(password, "***")
    return f"{type(error).__name__}: {text[:300]}"


def _tls_problem(error: Exception) -> str | None:
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return "it offers no TLS, which sslmode asks for: turn its ssl on"
    return tls_problem(error, "sslrootcert in its DSN")


def _place_of(dsn: str) -> str:
    """Return host and port of a DSN, of all where it names several."""
    return urlsplit(dsn).netloc.rpartition("@")[2] or SERVER


def _password_of(dsn: str) -> str | None:
    try:
        password = urlsplit(dsn).password
    except ValueError:
        return None
    return unquote(password) if password else None
