"""No text of a stranger keeps a regular expression busy."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "worker" / "payonce"
LONGEST_S = 0.5
LENGTH = 4_000
SEEDS = (
    "a",
    "0",
    "A.",
    " ",
    "-",
    "/",
    "\\u0000",
    ".a",
    "%",
    "://",
    "a:",
    "=",
    "\n",
    "_c",
    "Bearer ",
)


def patterns() -> Iterator[tuple[str, str]]:
    """Yield every literal pattern of the code, by its place."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re")),
                    args=[ast.Constant(value=str(text)), *_],
                ):
                    yield f"{path.relative_to(SOURCES)}:{node.lineno}", text


@pytest.mark.parametrize(("place", "pattern"), list(patterns()))
def test_a_pattern_takes_a_long_text_in_its_stride(place: str, pattern: str) -> None:
    """What repeats and ends otherwise, in CPU time: backtracking would double with each sign."""
    del place
    compiled = re.compile(pattern)
    began = time.process_time()
    for seed in SEEDS:
        text = (seed * LENGTH)[:LENGTH] + "\x00!"
        compiled.fullmatch(text)
        compiled.search(text)
    assert time.process_time() - began < LONGEST_S
