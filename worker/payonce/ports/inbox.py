"""Callbacks of gateways, as handlers see them."""

from typing import Protocol


class Callbacks(Protocol):
    """Callbacks that wait in the inbox."""

    async def take_up(self, payment_id: str) -> None:
        """Apply what came before the payment was registered. Never raises Unavailable."""
        ...
