"""Looks for secrets in the repository's files, offline; what is known is listed with its reason."""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

# Read while it is imported: lines that no detector can match are passed over, in half the time.
os.environ["DETECT_SECRETS_PERF_PREGATE"] = "1"

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

KNOWN = Path(__file__).with_name("known_secrets.toml")
FORMATS = (
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "PrivateKeyDetector",
    "SendGridDetector",
    "SlackDetector",
    "SquareOAuthDetector",
    "StripeDetector",
    "TwilioKeyDetector",
)
"""Detectors that know a secret by its form: they read every file."""
GUESSES = (
    "Base64HighEntropyString",
    "HexHighEntropyString",
    "BasicAuthDetector",
    "KeywordDetector",
)
"""Detectors that guess by disorder or by the word beside it: they read what is shipped."""
INVENTED = ("docs/", "tests/")
"""Where passwords are invented by the dozen."""
PUBLIC = ("requirements/",)
"""Where disorder is the hash of a public file."""
FILTERS = (
    "is_indirect_reference",
    "is_not_alphanumeric_string",
    "is_potential_uuid",
    "is_prefixed_with_dollar_sign",
    "is_sequential_string",
    "is_templated_secret",
)
"""What is no secret by its form. Not among them: marks in a line, for there is one list; and asking
a secret's issuer whether it is valid, which would be a call."""
LIMITS = {"Base64HighEntropyString": {"limit": 4.5}, "HexHighEntropyString": {"limit": 3.0}}
"""Bits a character above which a string is no word."""


@dataclass(frozen=True, order=True)
class Found:
    """What may be a secret, told by its place and a fingerprint, never by its value."""

    path: str
    fingerprint: str
    line: int = 0
    kind: str = ""

    @property
    def place(self) -> str:
        """Return the name under which it is listed: path and fingerprint."""
        return f"{self.path}#{self.fingerprint}"


def scan(paths: Sequence[str], detectors: Iterable[str]) -> list[Found]:
    """Return what the detectors find in the files, each value once a file; no call is made."""
    used = [{"name": name, **LIMITS.get(name, {})} for name in detectors]
    filters = [{"path": f"detect_secrets.filters.heuristic.{name}"} for name in FILTERS]
    with transient_settings({"plugins_used": used, "filters_used": filters}):
        secrets = SecretsCollection()
        for path in paths:
            secrets.scan_file(path)
        return [_found(path, one.secret_value, one.line_number, one.type) for path, one in secrets]


def scan_all(paths: Sequence[str]) -> list[Found]:
    """Return what is found in the files, by all detectors that are meant for each."""
    read = [path for path in paths if not path.startswith(PUBLIC)]
    shipped = [path for path in read if not path.startswith(INVENTED)]
    halves = [(read[::2], FORMATS), (read[1::2], FORMATS), (shipped, GUESSES)]
    with ProcessPoolExecutor(max_workers=2) as pool:
        found = [one for part in pool.map(scan, *zip(*halves, strict=True)) for one in part]
    return sorted({one.place: one for one in sorted(found)}.values())


def repository_files() -> list[str]:
    """Return the files that git has or would take, relative to the working folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.split("\0") if path and Path(path).is_file()]


def known_places() -> dict[str, str]:
    """Return why each place in the list of known secrets is none, by its name."""
    groups = tomllib.loads(KNOWN.read_text(encoding="utf-8"))["known"]
    return {place: group["why"] for group in groups for place in group["places"]}


def complaints(found: Iterable[Found], known: Iterable[str], *, whole: bool) -> Iterator[str]:
    """Return a line for each find that is not listed and, after a whole scan, each stale entry."""
    seen = {one.place: one for one in found}
    for place in sorted(seen.keys() - set(known)):
        one = seen[place]
        yield f"{one.path}:{one.line}: {one.kind}, not listed: {place}"
    for place in sorted(set(known) - seen.keys()) if whole else ():
        yield f"{KNOWN.name}: nothing is found there any more: {place}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan the named files, or the repository; return 1 where something must be done."""
    parser = argparse.ArgumentParser(prog="python -m tools.secrets", description=__doc__)
    parser.add_argument("paths", nargs="*", help="files to scan in place of the repository's")
    paths = parser.parse_args(arguments).paths
    lines = list(complaints(scan_all(paths or repository_files()), known_places(), whole=not paths))
    for line in lines:
        print(line, file=sys.stderr)
    print(f"secrets: {len(lines)} to look at" if lines else "secrets: none but the known ones")
    return int(bool(lines))


def _found(path: str, value: str | None, line: int, kind: str) -> Found:
    return Found(path, sha256((value or "").encode()).hexdigest()[:16], line, kind)


if __name__ == "__main__":
    sys.exit(main())
