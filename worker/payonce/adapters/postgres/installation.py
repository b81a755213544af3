"""What is true of this installation alone."""

import hashlib
import hmac

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load

SQL = load("installation")


class Installation:
    """Reads the key from which access tokens follow, once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token_key: bytes | None = None

    async def token_key(self) -> bytes:
        """Return 32 bytes that were made with the database. Raises Unavailable."""
        if self._token_key is None:
            rows = await self._database.fetch(SQL["token_key"])
            self._token_key = bytes(rows[0]["token_key"])
        return self._token_key

    async def cache_key(self) -> bytes:
        """Return 32 bytes by which what Redis remembers is proven. Raises Unavailable."""
        # With spaces, which no order's id has: no order's token is this key.
        return hmac.digest(await self.token_key(), b"what Redis remembers", "sha256")

    async def name(self) -> str:
        """Return a short name that no other database has. Raises Unavailable."""
        return hashlib.sha256(b"name" + await self.token_key()).hexdigest()[:12]
