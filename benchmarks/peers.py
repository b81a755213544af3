"""The peers' harness, run as it is, on the same servers, with environments of its own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig import Result

PACKAGES = (
    "aio-pika",
    "asyncpg",
    "redis>=8",
    "hiredis",
    "aiohttp",
    "uvloop",
    "psutil",
    "requests",
    "psycopg[binary,pool]",
    "celery==5.7.*",
    "dramatiq[rabbitmq]",
    "taskiq",
    "taskiq-aio-pika",
)
ARQ_PACKAGES = ("arq", "aio-pika", "asyncpg", "aiohttp")
"""arq pins an older Redis client."""

PEERS: Mapping[str, tuple[str, ...]] = {
    "celery": ("--set", "RETRY=0"),
    "dramatiq": (),
    "taskiq": (),
    "arq": (),
    "aiopika-uvloop": (),
    "aiopika-quorum": (),
}
"""Names in the harness, each with the arguments that show it at its best."""

_RUN_WITHIN_S = 240.0


@dataclass(frozen=True)
class Peers:
    """Where the harness lies, and what its programs run in."""

    folder: Path
    environments: Path

    def prepare(self) -> None:
        """Make the two environments where they are missing."""
        _make_venv(self.environments / "peers", PACKAGES)
        _make_venv(self.environments / "arq", ARQ_PACKAGES)

    def burst(self, name: str, n: int, environment: Mapping[str, str], out: Path) -> Result:
        """Run one peer's burst and return it in the form of ours."""
        out.unlink(missing_ok=True)
        command = [
            str(self.environments / "peers/bin/python"),
            "peers/run.py",
            *("throughput", "--peer", name, "--n", str(n), "--out", str(out)),
            *PEERS[name],
        ]
        variables = {**environment, "ARQ_BIN": str(self.environments / "arq/bin")}
        subprocess.run(
            command,
            cwd=self.folder,
            env=variables,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=_RUN_WITHIN_S,
        )
        found = json.loads(out.read_text().splitlines()[-1])
        taken = ("n", "foreign", "wall_s", "per_s", "ok", "rss_mb")
        return {
            "scenario": "burst",
            "peer": name,
            "cpu_ms": found["cpu_ms_per_payment"],
            **{key: found[key] for key in taken},
        }


def find_peers(root: Path, given: str | None) -> Path | None:
    """Return the folder of the peers' harness, if it is there."""
    folder = Path(given) if given else root.parent / "shared/bench"
    return folder.resolve() if (folder / "peers/run.py").exists() else None


def _make_venv(folder: Path, packages: tuple[str, ...]) -> None:
    mark = folder / "complete"
    if mark.exists() and mark.read_text() == "\n".join(packages):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*pip, *packages], check=True)
    mark.write_text("\n".join(packages))
