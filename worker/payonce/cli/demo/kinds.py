"""What the shoppers of the demo of all kinds do; the names of gateways are those of PARTS."""

from collections.abc import Sequence
from typing import Any

from payonce.cli.demo.stories import PAID, RETURNED, Attempt, Story

CURRENCIES = {
    "mock": "CNY",
    "wechat": "CNY",
    "alipay": "CNY",
    "cards": "USD",
    "paypal": "USD",
    "boleto": "BRL",
}
"""What each gateway is paid in, where it is alone."""

CRASH_AFTER_S = 18.0
"""When the worker is killed; a little later somebody pays."""


def _by(gateway: str, starts_after_s: float = 0.0, **script: Any) -> Attempt:
    return Attempt(script, gateway, starts_after_s=starts_after_s)


def _plain(gateway: str, source: str, **script: Any) -> Story:
    ways = {"webhook": "calls back", "poll": "is polled"}
    return Story(
        f"{gateway} {ways[source]}",
        1,
        (_by(gateway, pays_after_s=1, **script),),
        PAID,
        by_api=True,
        currency=CURRENCIES[gateway],
        source=source,
    )


def _two(
    name: str,
    attempts: Sequence[Attempt],
    ends: tuple[str, ...],
    currency: str = "CNY",
    source: str | None = None,
) -> Story:
    return Story(name, 1, tuple(attempts), ends, by_api=True, currency=currency, source=source)


MANUAL = (*RETURNED[:-1], "refund MANUAL")
LEFT = ("PAID", "CLOSED", "SUCCEEDED")

STORIES_OF_KINDS = (
    *(_plain(gateway, "webhook") for gateway in CURRENCIES),
    *(_plain(gateway, "poll", callbacks="lost") for gateway in CURRENCIES),
    # A code that nobody scanned cannot be closed at Alipay, so both can be paid. Both are, before
    # either gateway has told.
    _two("Alipay and WeChat Pay at once",
         (_by("alipay", pays_after_s=7, callback_delay_s=3),
          _by("wechat", 1, pays_after_s=6, callback_delay_s=3)), RETURNED),
    _two("the same, WeChat Pay tells first",
         (_by("alipay", pays_after_s=7, callback_delay_s=5),
          _by("wechat", 1, pays_after_s=6, callback_delay_s=3)), RETURNED),
    # A voucher that is out can be paid, whatever is paid meanwhile.
    _two("Boleto and PayPal, PayPal first",
         (_by("boleto", voucher_after_s=0, pays_after_s=9), _by("paypal", 1, pays_after_s=3)),
         MANUAL, "BRL"),
    _two("Boleto and PayPal, Boleto first",
         (_by("boleto", voucher_after_s=0, pays_after_s=3), _by("paypal", 1, pays_after_s=7)),
         LEFT, "BRL"),
    _two("card and PayPal, both",
         (_by("cards", voucher_after_s=0, pays_after_s=9), _by("paypal", 1, pays_after_s=3)),
         RETURNED, "USD"),
    # The second is refused: the close of the first has found its money.
    _two("pays as it is being closed",
         (_by("cards", pays_on_close=True, callbacks="lost"), _by("paypal", 2)), LEFT, "USD",
         source="close"),
    _two("WeChat Pay says closed, and is not",
         (_by("wechat", closes="lies", pays_after_s=9), _by("mock", 1, pays_after_s=3)), RETURNED),
    _two("leaves one code, pays the other",
         (_by("wechat"), _by("alipay", 2, pays_after_s=3)), LEFT),
    _two("pays while the worker is dead", (_by("wechat", pays_after_s=CRASH_AFTER_S + 0.3),), PAID),
)  # fmt: skip
