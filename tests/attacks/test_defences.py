"""The table of docs/security.md is true of the code: quick; `./dev defences` removes each one."""

import ast

import pytest

from tests.attacks.defence import Defence
from tests.attacks.every import DEFENCES, PAGE, ROOT, shown_table, table


def name_of(one: Defence) -> str:
    """Return a defence's name in the list of tests."""
    return one.attack


def test_the_page_shows_these_defences() -> None:
    """`./dev defences --write` writes the table."""
    assert table() == shown_table(PAGE.read_text(encoding="utf-8"))


def test_an_attack_stands_there_once() -> None:
    """In the same words."""
    assert len(DEFENCES) == len({one.attack for one in DEFENCES})


@pytest.mark.parametrize("one", DEFENCES, ids=name_of)
def test_a_defence_stands_in_its_file_once(one: Defence) -> None:
    """So that it can be removed, and nothing else."""
    text = (ROOT / one.file).read_text(encoding="utf-8")
    assert 1 == text.count(one.old)
    assert one.old != one.new


@pytest.mark.parametrize("one", DEFENCES, ids=name_of)
def test_a_defence_has_tests_that_are_there(one: Defence) -> None:
    """By their names."""
    assert one.tests
    for name in one.tests:
        path, _, function = name.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        defined = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in defined, name
