"""One table of the configuration, and who reads it."""

import difflib
from collections.abc import Callable
from typing import Any, Self, TypeVar

from payonce.domain.errors import BadSettings

Value = TypeVar("Value")


class Table:
    """One table of the configuration; remembers which of its keys were asked for."""

    def __init__(self, key: str, content: object) -> None:
        if not isinstance(content, dict):
            raise BadSettings(key, "is not a table", "a table of keys")
        self._key = key
        self._content: dict[str, Any] = content
        self._asked: list[str] = []

    def get(self, name: str, read: Callable[[str, object], Value], default: object) -> Value:
        """Return the value of a key, or of its default, as `read` understands it."""
        self._asked.append(name)
        return read(self.key_of(name), self._content.get(name, default))

    def need(self, name: str, read: Callable[[str, object], Value]) -> Value:
        """Return the value of a key that has no default."""
        try:
            return self.get(name, read, None)
        except BadSettings as error:
            if name in self._content:
                raise
            raise BadSettings(error.key, "is missing", error.allowed) from None

    def table(self, name: str) -> Self:
        """Return a table within this one; one that is not there is empty."""
        self._asked.append(name)
        return type(self)(self.key_of(name), self._content.get(name, {}))

    def names(self) -> list[str]:
        """Return the keys that are there."""
        return list(self._content)

    def key_of(self, name: str) -> str:
        """Return the full name of a key."""
        return f"{self._key}.{name}" if self._key else name

    def refuse_unknown(self) -> None:
        """Raise BadSettings on the first key that nobody asked for."""
        for name in self._content:
            if name not in self._asked:
                near = difflib.get_close_matches(name, self._asked, n=1)
                hint = f" (did you mean {self.key_of(near[0])}?)" if near else ""
                allowed = ", ".join(self.key_of(one) for one in sorted(self._asked))
                raise BadSettings(self.key_of(name), f"is unknown{hint}", allowed)
