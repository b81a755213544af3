"""What a kind of gateway brings along: its defaults, each with its source where it is declared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from payonce.settings.table import Table

Of_co = TypeVar("Of_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Of_co]):
    """One kind of gateway: `read` takes what is its own from a table; durations stand as text.

    `base_url`: empty: must be given. `ladder`, `watch_for`: empty: as in [poll]. `rate_per_s`: 0:
    no limit. `captures`: its money moves only when we say so. `variant`: the kind as a table makes
    it, where defaults hang on other keys; None: it is always the same.
    """

    name: str
    read: Callable[[Table], Of_co]
    base_url: str = ""
    ladder: tuple[str, ...] = ()
    watch_for: str = ""
    lateness: str = "10m"
    can_close: bool = True
    can_refund: bool = True
    rate_per_s: float = 0
    refund_key_window: str = "24h"
    captures: bool = False
    variant: "Callable[[Table], Kind[Of_co]] | None" = None

    def for_table(self, table: Table) -> "Kind[Of_co]":
        """Return the kind with the defaults that fit what `table` says. Raises BadSettings."""
        return self if self.variant is None else self.variant(table)
