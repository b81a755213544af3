"""How often tokens may be tried: wrong ones make whoever gave them wait."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Kept = TypeVar("Kept")

FREE = 5
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
FORGET_AFTER_S = 600.0
"""Failures of a place are forgotten after so long without another."""

ALL_FREE = 50
ALL_PER_S = 1.0
"""Failures of all unknown places together: so many at once, then so many a second."""

KNOWN_FOR_S = 86_400.0
MARK_TRUSTED = 10
"""So many failures of a marked browser: its mark counts for nothing until they are forgotten."""

MOST_KEPT = 1_024


@dataclass(frozen=True, slots=True)
class Caller:
    """Who gives a token, from where; `mark` proves that this browser gave a right one before."""

    address: str
    mark: str | None = None


@dataclass(slots=True)
class _Record:
    failures: int = 0
    until_s: float = 0.0
    last_s: float = 0.0


class Attempts:
    """Says how long somebody has to wait before a token of his is looked at.

    Each address waits for itself, twice as long after every failure. Against many addresses there
    is a limit of all failures together; it does not hold for an address that gave a right token
    within a day, nor for a marked browser, so that strangers' failures do not lock out who is
    known. A process keeps its own account, of bounded size.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._known: OrderedDict[str, float] = OrderedDict()
        self._left = float(ALL_FREE)
        self._filled_s = now_s()

    def wait_s(self, caller: Caller) -> int:
        """Return how many seconds the caller has to wait; 0: his token may be looked at."""
        now_s = self._now_s()
        record = self._record(self._key(caller, now_s), now_s)
        wait_s = record.until_s - now_s if record else 0.0
        if not self._is_known(caller, now_s):
            self._fill(now_s)
            wait_s = max(wait_s, (1 - self._left) / ALL_PER_S)
        return max(math.ceil(wait_s), 0)

    def failed(self, caller: Caller) -> None:
        """Note a wrong token."""
        now_s = self._now_s()
        key = self._key(caller, now_s)
        if not self._is_known(caller, now_s):
            self._fill(now_s)
            self._left = max(self._left - 1, 0.0)
        record = self._record(key, now_s) or _Record()
        record.failures += 1
        record.last_s = now_s
        if record.failures >= FREE:
            doublings = min(record.failures - FREE, 10)
            record.until_s = now_s + min(FIRST_WAIT_S * 2**doublings, LONGEST_WAIT_S)
        _keep(self._records, key, record)

    def succeeded(self, caller: Caller) -> None:
        """Note a right token. Failures from the same address stay: they may be another's."""
        _keep(self._known, _place(caller.address), self._now_s())

    def _is_known(self, caller: Caller, now_s: float) -> bool:
        since_s = self._known.get(_place(caller.address))
        came_lately = since_s is not None and now_s - since_s < KNOWN_FOR_S
        return came_lately or self._is_marked(caller, now_s)

    def _is_marked(self, caller: Caller, now_s: float) -> bool:
        if caller.mark is None:
            return False
        record = self._record(f"mark {caller.mark}", now_s)
        return record is None or record.failures < MARK_TRUSTED

    def _key(self, caller: Caller, now_s: float) -> str:
        """Return on whose account a failure goes."""
        return f"mark {caller.mark}" if self._is_marked(caller, now_s) else _place(caller.address)

    def _record(self, key: str, now_s: float) -> _Record | None:
        record = self._records.get(key)
        if record is not None and now_s - record.last_s > FORGET_AFTER_S:
            del self._records[key]
            return None
        return record

    def _fill(self, now_s: float) -> None:
        self._left = min(self._left + (now_s - self._filled_s) * ALL_PER_S, float(ALL_FREE))
        self._filled_s = now_s


def _keep(kept: OrderedDict[str, Kept], key: str, value: Kept) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)


def _place(address: str) -> str:
    """Return an IPv4 address, or the network of 64 bits that an IPv6 address is one of many in."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
