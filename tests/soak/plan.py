"""What one long run is to be."""

from dataclasses import dataclass
from pathlib import Path

LADDER = ("1s", "3s", "10s", "30s")


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds.

    `rate`: orders a second. `hold_s`: how long a fault stays. `asks_after_s`: when the shop asks
    whether its message arrived. `only`: the one fault that befalls, by name; None: all. `ladder`:
    the waits between polls. `expires_s`: how long an order can be paid. `settles_within_s`: how
    long it may take after the last order until everything has its outcome.
    """

    out: Path
    seconds: float = 3_600.0
    rate: float = 12.0
    fault_every_s: float = 60.0
    hold_s: float = 8.0
    asks_after_s: float = 10.0
    sample_every_s: float = 10.0
    seed: int = 1
    only: str | None = None
    ladder: tuple[str, ...] = LADDER
    expires_s: float = 90.0
    settles_within_s: float = 420.0
