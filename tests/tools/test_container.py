"""The image and the services of compose ask for no right that they do not need."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (ROOT / "compose.yaml").read_text(encoding="utf-8")
)["services"]
ASKS = {"privileged", "network_mode", "pid", "ipc", "userns_mode", "cap_add", "devices", "uts"}
"""Keys of compose that give a container something of its host."""

every_service = pytest.mark.parametrize("name", SERVICES)


def final_stage() -> list[str]:
    """Return the Dockerfile's instructions after the last FROM, each on one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    start = max(n for n, line in enumerate(lines) if line.startswith("FROM "))
    return lines[start:]


@every_service
def test_a_service_cannot_write_nor_rise(name: str) -> None:
    """Its file system is read-only, it has no capability, and can get none."""
    service = SERVICES[name]

    assert (True, ["ALL"], ["no-new-privileges:true"]) == (
        service.get("read_only"),
        service.get("cap_drop"),
        service.get("security_opt"),
    )


@every_service
def test_a_service_gets_nothing_of_its_host(name: str) -> None:
    """No namespace, no device, no folder and no socket; data lie in volumes."""
    service = SERVICES[name]

    assert set() == ASKS & service.keys()
    assert [] == [one for one in service.get("volumes", []) if not re.match(r"[a-z-]+:/", one)]


@every_service
def test_a_service_is_bounded(name: str) -> None:
    """In memory and in processes, so that one that runs away takes nothing from the others."""
    assert {"mem_limit", "pids_limit"} <= SERVICES[name].keys()


@every_service
def test_ports_are_bound_to_this_machine(name: str) -> None:
    """The passwords stand in the file."""
    ports = SERVICES[name].get("ports", [])

    assert [] == [one for one in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", one)]


@every_service
def test_a_service_tells_whether_it_is_well(name: str) -> None:
    """By a check of its own or the image's; the migration ends, and is no service."""
    service = SERVICES[name]
    own = service.get("healthcheck", {})

    assert (name == "migrate") == bool(own.get("disable"))
    assert "test" in own or name in {"migrate", "worker"}


@pytest.mark.parametrize("name", ["postgres", "rabbitmq", "redis"])
def test_a_server_is_never_root(name: str) -> None:
    """What its image would give up by itself needs rights to be given up."""
    assert name == SERVICES[name].get("user")


def test_the_image_runs_as_a_numbered_user() -> None:
    """A number can be checked by who runs it (runAsNonRoot); it is the stage's last word on it."""
    users = [line.split()[1] for line in final_stage() if line.startswith("USER ")]

    assert ["10001:10001"] == users
    assert any(line.startswith("HEALTHCHECK ") for line in final_stage())


def test_the_image_holds_no_way_up_and_its_own_list() -> None:
    """No file changes who runs it, no pip is there; after that, nothing is run any more."""
    stage = final_stage()
    (cleaned,) = [n for n, line in enumerate(stage) if "find / -xdev -perm /6000" in line]
    after = [line.split()[0] for line in stage[cleaned + 1 :]]

    assert "chmod ug-s" in stage[cleaned]
    assert "bin/pip" in stage[cleaned]
    assert not {"RUN", "ADD"} & set(after)
    assert any(line.startswith("COPY") and "sbom.cdx.json" in line for line in stage)
