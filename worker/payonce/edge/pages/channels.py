"""The gateways as a shopper knows them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from payonce.edge.pages.words import Words

KNOWN_KINDS = frozenset({"wechatpay", "alipay", "stripe", "paypal"})
"""Kinds whose names are words of the page."""


@dataclass(frozen=True, slots=True)
class Named:
    """A channel in one language."""

    gateway: str
    label: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A gateway; `label`: its name in the configuration; `is_only`: no other is named alike."""

    gateway: str
    kind: str
    label: str
    is_only: bool = True

    def named(self, words: Words) -> Named:
        """Return it under the name that shoppers of a language know."""
        if self.label:
            return Named(self.gateway, self.label)
        if self.kind not in KNOWN_KINDS:
            return Named(self.gateway, self.gateway)
        name = words(f"channel.{self.kind}")
        return Named(self.gateway, name if self.is_only else f"{name} ({self.gateway})")


def channels_of(found: Iterable[tuple[str, str, str]]) -> Mapping[str, Channel]:
    """Return the channels of (gateway, kind, label), by gateway."""
    listed = list(found)
    unlabelled = Counter(kind for _, kind, label in listed if not label)
    return {
        gateway: Channel(gateway, kind, label, is_only=unlabelled[kind] < 2)
        for gateway, kind, label in listed
    }
