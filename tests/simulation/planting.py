"""How a bug is planted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    """A bug, in a sentence, and the attributes that it replaces."""

    says: str
    patches: tuple[Patch, ...]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Let the code have this bug."""
    with ExitStack() as stack:
        for target, name, value in mutant.patches:
            stack.enter_context(patch.object(target, name, value))
        yield
