"""Acknowledgements, gathered: one frame for many where they finish in order."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement of `delivery_tag`, and of all before it where `multiple`."""

    delivery_tag: int
    multiple: bool


class Acks:
    """Knows the deliveries in hand, in order, and which of them are finished."""

    def __init__(self) -> None:
        self._in_hand: dict[int, None] = {}
        self._finished: set[int] = set()

    def __len__(self) -> int:
        return len(self._in_hand)

    def received(self, delivery_tag: int) -> None:
        """Note a delivery; tags grow."""
        self._in_hand[delivery_tag] = None

    def finished(self, delivery_tag: int) -> None:
        """Note that a delivery may be acknowledged."""
        self._finished.add(delivery_tag)

    def take(self) -> list[Ack]:
        """Return the acknowledgements to send now, and forget their deliveries.

        The finished ones before the first unfinished go as one: its tag is unacknowledged still,
        which a multiple acknowledgement must name. Finished ones behind it go one by one.
        """
        last, count = self._take_prefix()
        acks = [Ack(last, multiple=count > 1)] if count else []
        for delivery_tag in sorted(self._finished):
            del self._in_hand[delivery_tag]
            acks.append(Ack(delivery_tag, multiple=False))
        self._finished.clear()
        return acks

    def _take_prefix(self) -> tuple[int, int]:
        prefix = list(self._prefix())
        for delivery_tag in prefix:
            del self._in_hand[delivery_tag]
            self._finished.discard(delivery_tag)
        return (prefix[-1], len(prefix)) if prefix else (0, 0)

    def _prefix(self) -> Iterator[int]:
        for delivery_tag in self._in_hand:
            if delivery_tag not in self._finished:
                return
            yield delivery_tag
