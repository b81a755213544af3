"""What is fuzzed: a function of drawn arguments for each place where foreign bytes come in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Target:
    """One place; `check` raises where it does not hold."""

    name: str
    check: Callable[..., None]
    arguments: dict[str, st.SearchStrategy[Any]]


TARGETS: dict[str, Target] = {}


def target(
    **arguments: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a target, named after its module and itself."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        TARGETS[name] = Target(name, check, arguments)
        return check

    return register
