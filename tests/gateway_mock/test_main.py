"""python -m gateway_mock as a program: a wrong call is one clear line, never a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import HOST


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program, which is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "gateway_mock", *arguments],
        env={**os.environ, **{f"GATEWAY_MOCK_{name}": one for name, one in variables.items()}},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("port", ["abc", "", "-1", "65536", "9" * 5_000, "1.5"])
def test_port_that_is_none_is_refused(port: str) -> None:
    """Whether it comes as a variable or as an option."""
    for ended in (run(PORT=port), run(f"--port={port}")):
        assert (2, "") == (ended.returncode, ended.stdout)
        assert f"error: argument --port: {port!r} is no port; allowed: 0 to 65535" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_secret_that_is_none_is_refused_without_telling_it() -> None:
    """What cannot sign stops the program before it listens."""
    ended = run(SECRET="whsec_hunter2")

    assert 2 == ended.returncode
    assert "argument --secret: what is given is not whsec_ and base64" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_profile_that_is_none_is_refused(tmp_path: Path) -> None:
    """The file's fault is named."""
    path = tmp_path / "profile.json"
    path.write_text('{"can_clothe": true}')
    ended = run("--profile", str(path))

    assert (2, 1) == (ended.returncode, ended.stderr.count("\n"))
    assert ended.stderr.startswith("gateway_mock: --profile: can_clothe is unknown")


def test_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    """The file's fault is named."""
    (tmp_path / "sandbox.json").write_text("{}")
    ended = run("--kind", "wechatpay", "--keys", str(tmp_path))

    assert (2, 1) == (ended.returncode, ended.stderr.count("\n"))
    assert ended.stderr.startswith("gateway_mock: --keys: ")


def test_port_in_use_is_named() -> None:
    """The program says where it could not listen."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(PORT=str(port))

    assert (1, 1) == (ended.returncode, ended.stderr.count("\n"))
    assert ended.stderr.startswith("gateway_mock: ")
    assert str(port) in ended.stderr


@pytest.mark.parametrize("url", ["phone.example", "ftp://phone.example", "http://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Links that lead nowhere would be found out by a shopper."""
    ended = run(PUBLIC_URL=url)
    assert 2 == ended.returncode
    allowed = f"argument --public-url: {url!r} is no address; allowed: http://host:port"
    assert allowed in ended.stderr
