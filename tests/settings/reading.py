"""A configuration as small as can be, and what is laid over it."""

from pathlib import Path

import pytest

from payonce.domain.errors import BadSettings
from payonce.settings import Settings, load_settings

SECRET = "whsec_cGF5b25jZS1zZXR0aW5ncy10ZXN0cw=="
SMALLEST = f"""
gateways.mock.kind = "http"
gateways.mock.base_url = "http://127.0.0.1:9090"
gateways.mock.secret = "{SECRET}"
"""


def read(folder: Path, text: str = SMALLEST, /, **variables: str) -> Settings:
    """Return the settings of a file with this text under PAYONCE_ variables."""
    path = folder / "payonce.toml"
    path.write_text(text, encoding="utf-8")
    environ = {f"PAYONCE_{name}": value for name, value in variables.items()}
    return load_settings({"PAYONCE_CONFIG": str(path), **environ})


def refusal(folder: Path, text: str = SMALLEST, /, **variables: str) -> BadSettings:
    """Return the error of settings that are refused: one line, with the key and what is allowed."""
    with pytest.raises(BadSettings) as caught:
        read(folder, text, **variables)
    error = caught.value
    assert error.problem
    assert error.allowed
    assert f"configuration: {error.key}: {error.problem}; allowed: {error.allowed}" == str(error)
    assert 1 == len(str(error).splitlines())
    return error


def variable_of(key: str) -> str:
    """Return the name of a key's environment variable, without its prefix."""
    return key.upper().replace(".", "__")
