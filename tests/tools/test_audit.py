"""The audit says what is known against a pin, and never takes silence for a good word."""

import json

import pytest

from tools.audit import Findings, advisories, withdrawn

VULNERABLE = {
    "name": "requests",
    "version": "2.31.0",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["2.32.2", "2.32.4"]}],
}
SOUND = {"name": "yarl", "version": "1.25.1", "vulns": []}
SKIPPED = {"name": "idna", "skip_reason": "Dependency not found: idna (3.20)"}


def answer(*packages: object) -> str:
    """Return what pip-audit prints about these packages."""
    return json.dumps({"dependencies": packages, "fixes": []})


def report(*yanked: bool) -> str:
    """Return what pip reports about releases of one package."""
    metadata = [{"name": "requests", "version": f"2.32.{n}"} for n in range(len(yanked))]
    found = zip(metadata, yanked, strict=True)
    return json.dumps({"install": [{"metadata": one, "is_yanked": gone} for one, gone in found]})


def test_an_advisory_is_told_with_what_mends_it() -> None:
    """Also beside packages that were not found."""
    findings = advisories(answer(SOUND, VULNERABLE, SKIPPED), "")

    assert ["advisory: requests 2.31.0: PYSEC-2024-1, mended in 2.32.2, 2.32.4"] == findings.against
    assert 1 == findings.status


def test_an_advisory_without_a_mended_release_is_told() -> None:
    """There is nothing to raise to, but somebody must know."""
    unmended = {**VULNERABLE, "vulns": [{"id": "PYSEC-2024-1", "fix_versions": []}]}

    assert ["advisory: requests 2.31.0: PYSEC-2024-1, mended in no release yet"] == advisories(
        answer(unmended), ""
    ).against


def test_packages_that_the_database_does_not_know_are_not_sound() -> None:
    """pip-audit itself ends with 0 there, as where a mirror answers for the database."""
    findings = advisories(answer(SOUND, SKIPPED), "")

    assert (3, []) == (findings.status, findings.against)
    assert [
        "advisories: no answer about 1 of 2 pins: ['Dependency not found: idna (3.20)']"
    ] == findings.unasked


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Traceback\n  ...\nConnectionError: refused\n", "ConnectionError: refused"),
        ("", "said nothing"),
    ],
)
def test_servers_out_of_reach_are_told(said: str, told: str) -> None:
    """In the last words of the program that asked."""
    for findings in (advisories("", said), withdrawn("", said)):
        assert (3, []) == (findings.status, findings.against)
        assert findings.unasked[0].endswith(told)


def test_a_withdrawn_release_is_told() -> None:
    """By name and version; the others are sound."""
    assert Findings(["yanked: requests 2.32.1"]) == withdrawn(report(False, True, False), "")
    assert Findings() == withdrawn(report(False), "")


def test_only_a_whole_answer_without_finds_is_a_success() -> None:
    """Finds weigh more than silence."""
    sound, silent = advisories(answer(SOUND), ""), advisories(answer(SKIPPED), "")
    found = advisories(answer(VULNERABLE), "")

    assert [0, 3, 1, 1] == [
        one.status for one in (sound, sound + silent, silent + found, found + sound)
    ]
