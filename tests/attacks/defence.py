"""One row of docs/security.md: an attack, what stops it, and the tests that fail without that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defence:
    """`old` stands once in `file`; with `new` in its place the attack succeeds.

    `tests`: functions, each as `tests/...py::name`; every one of them fails then.
    """

    attack: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def stops(attack: str, file: str, old: str, new: str, *tests: str) -> Defence:
    """Return a defence; `tests` without the folder that all are in."""
    return Defence(attack, file, old, new, tuple(f"tests/{one}" for one in tests))
