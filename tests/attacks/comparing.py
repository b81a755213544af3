"""What is compared in constant time."""

import hmac

import pytest


def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """Return the pairs that are compared from now on so that a wrong beginning takes as long."""
    pairs: list[tuple[object, object]] = []
    original = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        pairs.append((one, other))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    return pairs
