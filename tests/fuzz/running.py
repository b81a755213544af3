"""How a target is run: the same examples each time, or others by a seed."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.fuzz.targets import Target


@contextmanager
def silence() -> Iterator[None]:
    """Let nobody log: every second example is something to warn of."""
    wrapper = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=wrapper, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.reset_defaults()


def run_fixed(target: Target, examples: int) -> int:
    """Run a target on the same examples each time; return how many. Raises what it raises."""
    counted = Counter[str]()
    fixed = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(**target.arguments)(_counting(target, counted)))()
    return counted[target.name]


def run_seeded(
    target: Target, examples: int, seed_text: str, folder: Path, counted: Counter[str]
) -> None:
    """Run a target on examples of its own, failures of earlier runs first; count them by name."""
    own = settings(
        max_examples=examples,
        database=DirectoryBasedExampleDatabase(folder),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    seed(f"{target.name}.{seed_text}")(own(given(**target.arguments)(_counting(target, counted))))()


def _counting(target: Target, counted: Counter[str]) -> Callable[..., None]:
    def check(**drawn: object) -> None:
        counted[target.name] += 1
        target.check(**drawn)

    # Under this name failures are kept for the next run.
    check.__qualname__ = check.__name__ = target.name.replace(".", "_")
    return check
