"""The bill of materials: valid, whole, the same for the same input; licences and pins."""

import json
import re
import sys
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tools import licences, sbom

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)


def fingerprint(name: str) -> str:
    """Return a hash for a package whose file nobody kept."""
    return sha256(name.encode()).hexdigest()


def pins(name: str) -> dict[str, tuple[str, str]]:
    """Return version and marker of each pin of a list."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {pin: (version, marker) for pin, version, marker in PIN.findall(text)}


INSTALLED = {canonicalize_name(one.metadata["Name"]) for one in distributions()}
RUNNING: list[str] = sorted({"payonce", *pins("run")} & INSTALLED)
"""What would be in an image; the rest of this environment makes the validator slow."""


def of_the_image(bom: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a bill what only the tests need."""
    held = [one for one in bom["components"] if canonicalize_name(one["name"]) in RUNNING]
    known = {one["bom-ref"] for one in held} | {bom["metadata"].get("component", {}).get("bom-ref")}
    graph = [
        {**one, "dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in known]}
        for one in bom.get("dependencies", ())
        if one["ref"] in known
    ]
    return {**bom, "components": held, "dependencies": graph}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """What the tool says of the environment of these tests."""
    return of_the_image(sbom.describe(sys.executable))


@pytest.fixture(scope="module")
def bill(described: dict[str, Any]) -> str:
    """Return the bill of this environment, with invented hashes."""
    return sbom.written(sbom.complete(described, {n: fingerprint(n) for n in RUNNING}, "3.13.1"))


def test_it_follows_the_schema_and_names_its_subject(bill: str) -> None:
    """Every package has its hash, and Python is listed; no path of the builder is in it.

    It would not have been written if it did not follow the schema: see below.
    """
    document = json.loads(bill)
    components: dict[str, Any] = {
        canonicalize_name(one["name"]): one for one in document["components"]
    }

    assert "payonce" == document["metadata"]["component"]["name"]
    assert {*RUNNING, "cpython"} - {"payonce"} == components.keys()
    assert fingerprint("aiohttp") == components["aiohttp"]["hashes"][0]["content"]
    assert "file:" not in bill


def test_it_is_the_same_for_the_same_environment(described: dict[str, Any]) -> None:
    """Whoever builds again can compare: no time, no chance in it."""
    assert described == of_the_image(sbom.describe(sys.executable))
    assert not {"serialNumber", "timestamp"} & {*described, *described["metadata"]}


def test_a_package_of_unknown_origin_stops_it(described: dict[str, Any]) -> None:
    """A bill that leaves something out would be worse than none."""
    hashed = {n: fingerprint(n) for n in RUNNING if n != "aiohttp"}
    with pytest.raises(sbom.SbomError, match="file aiohttp was installed from"):
        sbom.complete(described, hashed, "3.13.1")


def test_what_does_not_follow_the_schema_is_not_written() -> None:
    """The validator has the last word."""
    with pytest.raises(sbom.SbomError, match="not a CycloneDX document"):
        sbom.written({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}]})


def test_the_page_lists_the_licences_of_what_runs(bill: str) -> None:
    """As the command prints them; pins for old Pythons alone stand in the text."""
    text = (ROOT / "docs" / "supply-chain.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([A-Z][^|]*) \|$", text, re.MULTILINE))
    running = {name for name, (_, marker) in pins("run").items() if "python_full" not in marker}
    found = licences.licences(json.loads(bill))

    assert {name: found[name] for name in (*running, "cpython")} == documented
    assert [] == [one for one in documented.values() if licences.unjudged(one)]


@pytest.mark.parametrize(
    ("expression", "unjudged"),
    [
        ("MIT AND (Apache-2.0 OR BSD-3-Clause)", []),
        ("GPL-3.0-only", ["GPL-3.0-only"]),
        ("MIT OR AGPL-3.0-only", ["AGPL-3.0-only"]),
        ("none declared", ["none declared"]),
    ],
)
def test_a_licence_that_nobody_judged_is_told(expression: str, unjudged: list[str]) -> None:
    """Also where it is one of two."""
    assert unjudged == licences.unjudged(expression)


@pytest.mark.parametrize("name", ["build", "dev", "run", "sbom"])
def test_every_pin_has_a_hash_and_one_version(name: str) -> None:
    """The lists agree with the longest, which is what the tests run on."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    requirements = re.findall(r"^[a-z].*\n {4}--hash=sha256:", text, re.MULTILINE)
    longest = pins("dev")
    differing = [pin for pin, told in pins(name).items() if longest.get(pin, told)[0] != told[0]]

    assert len(re.findall(r"^[a-z]", text, re.MULTILINE)) == len(requirements) == len(pins(name))
    assert [] == differing


def test_the_longest_list_holds_what_runs() -> None:
    """So that an audit of it misses nothing."""
    assert set() == pins("run").keys() - pins("dev").keys()
