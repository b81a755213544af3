"""Writes the bill of materials of an environment: CycloneDX 1.6, the same for the same input.

The environment is asked what it holds; pip's reports of what it installed there say which file each
package came from, by its SHA-256.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

SUBJECT = "payonce"
_VERSION = "import platform; print(platform.python_version())"

Json = dict[str, Any]


class SbomError(Exception):
    """The environment and the reports do not fit together, or make no valid document."""


def hashes(reports: Iterable[Json]) -> dict[str, str]:
    """Return the SHA-256 of the file that each package was installed from, in hex, by its name."""
    installed = [one for report in reports for one in report["install"]]
    return {
        canonicalize_name(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"][
            "sha256"
        ]
        for one in installed
    }


def complete(bom: Json, sha256: dict[str, str], python: str) -> Json:
    """Return the bill with its subject on top, each package's hash, and Python itself.

    `python` is the version of the interpreter. SbomError where a package has no hash.
    """
    components = [_hashed(one, sha256) for one in bom["components"]]
    by_name = {one["name"]: one for one in components}
    if SUBJECT not in by_name:
        raise SbomError(f"{SUBJECT} is not in the environment")
    subject = {**by_name.pop(SUBJECT), "type": "application"}
    # Where it was built is no part of it.
    subject.pop("externalReferences", None)
    held = [_interpreter(python), *by_name.values()]
    return {**bom, "metadata": {**bom["metadata"], "component": subject}, "components": held}


def written(bom: Json) -> str:
    """Return the document's text; SbomError where it does not follow the schema."""
    text = json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise SbomError(f"not a CycloneDX document: {wrong}")
    return text


def describe(python: str) -> Json:
    """Return what cyclonedx-py says of the environment of the interpreter `python`, a path."""
    tool = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
    # What is written is validated once, when it is whole.
    bom: Json = json.loads(_printed([*tool, "--no-validate", "--spec-version", "1.6", python]))
    return bom


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the bill of an environment; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.sbom", description=__doc__)
    parser.add_argument("python", help="the environment's interpreter")
    parser.add_argument("reports", nargs="+", type=Path, help="what pip's --report wrote")
    given = parser.parse_args(arguments)
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in given.reports]
    version = _printed([given.python, "-c", _VERSION]).strip()
    print(written(complete(describe(given.python), hashes(reports), version)), end="")
    return 0


def _hashed(component: Json, sha256: dict[str, str]) -> Json:
    name = canonicalize_name(component["name"])
    if name not in sha256:
        raise SbomError(f"nothing says which file {name} was installed from")
    return {**component, "hashes": [{"alg": "SHA-256", "content": sha256[name]}]}


def _interpreter(version: str) -> Json:
    return {
        "bom-ref": f"CPython=={version}",
        "type": "platform",
        "name": "CPython",
        "version": version,
        "purl": f"pkg:generic/cpython@{version}",
        "licenses": [{"license": {"id": "PSF-2.0", "acknowledgement": "declared"}}],
    }


def _printed(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
