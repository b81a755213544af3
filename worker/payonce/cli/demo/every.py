"""The demo of all kinds of gateways: its comparison, by the books of each of them."""

from collections.abc import Mapping
from typing import Any

from payonce.cli.demo.director import Director
from payonce.cli.demo.verdict import Finding, kept_once, sent_back, told_rightly


class EveryDirector(Director):
    """One run of the demo of all kinds."""

    async def _compare_gateways(self, orders: Mapping[str, Any]) -> list[Finding]:
        books = {name: await mock.books() for name, mock in self._town.mocks.items()}
        return [
            told_rightly(self._shop.plans, orders),
            kept_once(orders, books),
            sent_back(orders, books),
        ]
