"""./dev: what it refuses, and which servers it takes for somebody's choice."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import GAVE, VARIABLES, given_urls

ROOT = Path(__file__).resolve().parents[1]
GONE = {name: f"gone://127.0.0.1:1/{n}" for n, name in enumerate(VARIABLES)}
GIVEN_BY_US = {**GONE, GAVE: ",".join(GONE.values())}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with ./dev and what it needs, and what says that servers run from here."""
    shutil.copy2(ROOT / "dev", tmp_path / "dev")
    for name in (".venv", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".dev").mkdir()
    (tmp_path / ".dev" / "servers.json").write_text("{}")
    return tmp_path


def dev(checkout: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Call ./dev; return its status, what it printed, and what it said."""
    kept = {name: one for name, one in os.environ.items() if name not in {*VARIABLES, GAVE}}
    ended = subprocess.run(
        [checkout / "dev", *arguments],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("command", ["setup", "up", "down", "env", "check", "sbom"])
def test_an_argument_too_many_stops_everything(checkout: Path, command: str) -> None:
    """Above all, no data are removed."""
    line = f"dev: {command} takes no arguments, but got: x; nothing was done\n"
    assert (1, "", line) == dev(checkout, command, "x")
    assert (checkout / ".dev" / "servers.json").exists()


def test_down_forgets_what_killed_demos_left(checkout: Path) -> None:
    """But leaves alone the servers of a demo that runs."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    for process in (os.getpid(), ended.pid):
        (checkout / ".dev" / f"demo-{process}").mkdir()
        (checkout / ".dev" / f"demo-{process}" / "servers.json").write_text("{}")

    assert (0, "", "") == dev(checkout, "down")
    assert [f"demo-{os.getpid()}"] == [one.name for one in (checkout / ".dev").iterdir()]


def test_env_does_not_repeat_what_it_once_gave(checkout: Path) -> None:
    """Neither while there are no servers, nor when those that there were have died."""
    down = (1, "", "the servers are down: run ./dev up\n")
    assert down == dev(checkout, "env", **GIVEN_BY_US)

    (checkout / ".dev" / "servers.json").unlink()
    status, printed, said = dev(checkout, "env", **GIVEN_BY_US)
    assert (1, "", f"dev: {down[2]}") == (status, printed, said)


def test_servers_of_somebodys_choice_are_used(checkout: Path) -> None:
    """Also where another address was given in place of one of ours."""
    chosen = {**GONE, VARIABLES[0]: "chosen://127.0.0.1:1/"}
    lines = "".join(f"export {name}={one}\n" for name, one in chosen.items())
    assert (0, lines, "") == dev(checkout, "env", **{**GIVEN_BY_US, **chosen})


@pytest.mark.parametrize(
    ("variables", "given"),
    [(GIVEN_BY_US, None), (GONE, GONE), ({**GONE, VARIABLES[1]: ""}, None)],
)
def test_what_env_gave_is_no_choice(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], given: dict[str, str] | None
) -> None:
    """All three addresses are a choice, unless they are ours."""
    monkeypatch.delenv(GAVE, raising=False)
    for name, one in variables.items():
        monkeypatch.setenv(name, one)
    assert given == given_urls()
