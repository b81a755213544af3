"""SQL has names and lives in files."""

import re
from importlib import resources

import pytest

from payonce.adapters.postgres import queries

TOPICS = sorted(
    path.name.removesuffix(".sql")
    for path in resources.files("payonce.adapters.postgres").joinpath("sql").iterdir()
)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_statement_has_a_name_and_is_used(topic: str) -> None:
    """Dead SQL is dead code."""
    package = resources.files("payonce.adapters.postgres")
    module = package.joinpath(f"{topic}.py").read_text("utf-8")
    used = set(re.findall(r'SQL\["(\w+)"\]|_page\("(\w+)"', module))
    assert set(queries.load(topic)) == {first or second for first, second in used}


def test_statements_are_told_apart() -> None:
    """Each ends where the next begins."""
    statements = queries.load("delay_queues")
    assert ["sync", "retired", "forget"] == list(statements)
    assert statements["forget"].startswith("DELETE FROM delay_queues")
