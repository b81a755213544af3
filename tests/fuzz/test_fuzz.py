"""Every place where foreign bytes come in, on the same hostile examples in every run."""

import pytest

from tests.fuzz.every import every_target
from tests.fuzz.running import run_fixed, silence
from tests.fuzz.targets import Target

EXAMPLES = 60


@pytest.mark.parametrize("target", every_target(), ids=lambda one: one.name)
def test_nothing_foreign_breaks_it(target: Target) -> None:
    """`./dev fuzz` does the same for as long as somebody likes."""
    with silence():
        assert 0 < run_fixed(target, EXAMPLES) <= 2 * EXAMPLES
