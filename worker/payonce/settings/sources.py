"""Where values come from: the file, and the environment that overrides it."""

import json
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from payonce.domain.errors import BadSettings

PREFIX = "PAYONCE_"
DEFAULT_FILE = "config/payonce.toml"
SERVERS = {
    "POSTGRES_DSN": "postgresql://postgres@127.0.0.1:5432/postgres",
    "AMQP_URL": "amqp://guest:guest@127.0.0.1:5672/",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}
OTHER = frozenset({"CONFIG", "LOG_LEVEL", "LOG_FORMAT"})
"""Variables that do not belong to the file's tree."""

_NOT_IN_VARIABLES = re.compile(r"[^A-Za-z0-9_]")

_SERVICE_LINK = re.compile(
    r"PAYONCE(?:_[A-Z0-9]+)*?"
    r"(?:_SERVICE_HOST=[0-9A-Fa-f.:]+"
    r"|_SERVICE_PORT(?:_[A-Z0-9]+)*=\d+"
    r"|_PORT(?:_\d+_(?:TCP|UDP|SCTP))?=(?:tcp|udp|sctp)://[0-9A-Fa-f.:\[\]]+:\d+"
    r"|_PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO=(?:tcp|udp|sctp)|PORT=\d+|ADDR=[0-9A-Fa-f.:]+))"
)
"""What Kubernetes puts into pods for a Service named payonce or payonce-... (kubernetes.io, concept
"Service", environment variables). The value counts too: PAYONCE_HTTP_PORT=8080 is a misspelt key.
"""

Tree = dict[str, Any]


def read_tree(environ: Mapping[str, str], config_path: Path | None = None) -> Tree:
    """Return the file's tree with the environment laid over it. Raises BadSettings."""
    tree = _read_file(environ, config_path)
    for name, value in _variables(environ).items():
        if name in SERVERS or name in OTHER:
            continue
        if "__" not in name and not value.startswith("{"):
            raise BadSettings(PREFIX + name, "is unknown", f"{PREFIX}SECTION__KEY, {_known()}")
        _lay(tree, name.split("__"), value, PREFIX + name)
    return tree


def read_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the three servers' addresses by the last part of their variable."""
    found = _variables(environ)
    return {name: found.get(name) or default for name, default in SERVERS.items()}


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return our variables without the prefix; ..._FILE is replaced by what the file holds."""
    found: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or _SERVICE_LINK.fullmatch(f"{name}={value}"):
            continue
        plain = name.removeprefix(PREFIX)
        if not plain.endswith("_FILE"):
            found.setdefault(plain, value)
        elif plain.removesuffix("_FILE") in OTHER:
            raise BadSettings(name, "is unknown", name.removesuffix("_FILE"))
        else:
            found[plain.removesuffix("_FILE")] = _read_secret(name, value)
    return found


def _read_secret(name: str, path: str) -> str:
    content = _read_text(name, Path(path), "a readable file")
    return content.removesuffix("\n").removesuffix("\r")


def _read_text(name: str, path: Path, allowed: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSettings(name, f"cannot read {path}: {error.strerror}", allowed) from None
    except ValueError:
        raise BadSettings(name, f"cannot read {path}: not UTF-8 text", allowed) from None


def _read_file(environ: Mapping[str, str], config_path: Path | None) -> Tree:
    named = config_path or environ.get(f"{PREFIX}CONFIG")
    path = Path(named or DEFAULT_FILE)
    if named or path.exists():
        content = _read_text(f"{PREFIX}CONFIG", path, "a TOML file")
    else:
        content = _packaged_default()
    try:
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadSettings(str(path), f"is not TOML: {error}", "see docs/configuration.md") from None


def _packaged_default() -> str:
    packaged = files("payonce") / "config" / "payonce.toml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parents[3] / DEFAULT_FILE).read_text(encoding="utf-8")


def _lay(tree: Tree, path: list[str], value: str, name: str) -> None:
    *parents, last = path
    for part in parents:
        parent = _key(tree, part, name)
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise BadSettings(name, f"{parent} is not a table", "a key of docs/configuration.md")
    tree[_key(tree, last, name)] = _value(value)


def _key(tree: Tree, part: str, name: str) -> str:
    """Return the key that a part of a variable's name means.

    Names of variables know neither case nor `-.:`, but names of gateways and currencies do.
    """
    if part.lower() in tree:
        return part.lower()
    same = [key for key in tree if _NOT_IN_VARIABLES.sub("_", key).upper() == part.upper()]
    if len(same) > 1:
        raise BadSettings(name, f"means {' or '.join(same)}", "the file, where names are alike")
    return same[0] if same else part.lower()


def _value(text: str) -> Any:
    """Return JSON lists and tables as such, everything else as text for its reader."""
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _known() -> str:
    return ", ".join(sorted(PREFIX + name for name in (*SERVERS, *OTHER)))
