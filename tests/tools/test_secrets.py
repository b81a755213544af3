"""The scan for secrets: what it finds, what it is told of, and that it stays at home."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import secrets

# Put together here, so that this file holds none.
AWS = "AKIA" + "Q3EGRJVZ7KXW5T2N"
STRIPE = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"
PEM = "\n".join([
    "-----BEGIN " + "PRIVATE KEY-----",
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2",
    "-----END " + "PRIVATE KEY-----",
])  # fmt: skip
GITHUB = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"


def scan(*arguments: Path | str, folder: Path | None = None) -> tuple[int, str, str]:
    """Run the scan as ./dev check does; return its status, what it printed, and what it said."""
    ended = subprocess.run(
        [Path(".venv/bin/python").absolute(), "-m", "tools.secrets", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("kind", "planted"),
    [
        ("AWS Access Key", AWS),
        ("Stripe Access Key", STRIPE),
        ("Private Key", PEM),
        ("GitHub Token", GITHUB),
    ],
)
def test_a_planted_key_fails_the_check(tmp_path: Path, kind: str, planted: str) -> None:
    """The line is named, the key itself is not repeated."""
    source = tmp_path / "source.py"
    source.write_text(f'"""A module."""\n\nKEY = """{planted}"""\n')
    status, _, said = scan(source)

    assert 1 == status
    assert f"{source}:" in said
    assert f": {kind}, not listed: {source}#" in said
    assert planted.splitlines()[-1] not in said


def test_a_password_in_what_is_shipped_fails_the_check(tmp_path: Path) -> None:
    """By the word beside it; in tests and documents such passwords are invented."""
    for folder in ("worker", "tests", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.py").write_text('password = "correct-horse-battery"\n')
    shutil.copytree("tools", tmp_path / "tools")
    status, _, said = scan("worker/one.py", "tests/one.py", "docs/one.py", folder=tmp_path)

    assert 1 == status
    assert ["worker/one.py:1: Secret Keyword"] == [
        line.partition(",")[0] for line in said.splitlines()
    ]


def test_a_mark_in_the_line_excuses_nothing(tmp_path: Path) -> None:
    """There is one list of what is known, and it says why."""
    source = tmp_path / "source.py"
    source.write_text(f'KEY = "{STRIPE}"  # pragma: allowlist secret\n')

    assert 1 == scan(source)[0]


def test_what_is_listed_and_gone_is_told() -> None:
    """The list says what is there, and no more; a scan of a few files knows only them."""
    gone, listed = secrets.Found("a.py", "01"), secrets.Found("b.py", "02", 3, "Private Key")
    known = [gone.place, listed.place]

    assert ["known_secrets.toml: nothing is found there any more: a.py#01"] == list(
        secrets.complaints([listed], known, whole=True)
    )
    assert [] == list(secrets.complaints([listed], known, whole=False))


def test_every_known_place_is_listed_with_its_reason() -> None:
    """Nobody has to guess why a key may stay."""
    known = secrets.known_places()

    assert len(known) > 10
    assert [] == [place for place, why in known.items() if len(why.split()) < 4]


def test_no_call_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A found key is not shown to its issuer."""

    def refuse(*arguments: Sequence[object]) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    source = tmp_path / "source.py"
    source.write_text(f'KEY = "{STRIPE}"\nOTHER = "{AWS}"\n')
    found = secrets.scan([str(source)], secrets.FORMATS)

    assert ["AWS Access Key", "Stripe Access Key"] == sorted(one.kind for one in found)
