"""Where values come from: the file, and the environment that overrides it."""

import json
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

Tree = dict[str, Any]


def read_tree(environ: Mapping[str, str], config_path: Path | None = None) -> Tree:
    """Return the file's tree with the environment laid over it. Raises BadSettings."""
    tree = _read_file(environ, config_path)
    for name, value in _variables(environ).items():
        if name in SERVERS or name in OTHER:
            continue
        if "__" not in name:
            raise BadSettings(PREFIX + name, "is unknown", f"{PREFIX}SECTION__KEY, {_known()}")
        _lay(tree, [part.lower() for part in name.split("__")], value, PREFIX + name)
    return tree


def read_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the three servers' addresses by the last part of their variable."""
    found = _variables(environ)
    return {name: found.get(name) or default for name, default in SERVERS.items()}


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return our variables without the prefix; ..._FILE is replaced by what the file holds."""
    found = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX):
            continue
        if name.endswith("_FILE"):
            found[name.removeprefix(PREFIX).removesuffix("_FILE")] = _read_secret(name, value)
        else:
            found.setdefault(name.removeprefix(PREFIX), value)
    return found


def _read_secret(name: str, path: str) -> str:
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise BadSettings(name, f"cannot read {path}: {reason}", "a readable file") from None
    return content.removesuffix("\n").removesuffix("\r")


def _read_file(environ: Mapping[str, str], config_path: Path | None) -> Tree:
    named = config_path or environ.get(f"{PREFIX}CONFIG")
    path = Path(named or DEFAULT_FILE)
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named:
            raise BadSettings(f"{PREFIX}CONFIG", f"{path} is not there", "a TOML file") from None
        content = _packaged_default()
    except (OSError, ValueError) as error:
        raise BadSettings(
            f"{PREFIX}CONFIG", f"cannot read {path}: {error}", "a TOML file"
        ) from None
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(str(path), f"is not TOML: {error}", "see docs/configuration.md") from None


def _packaged_default() -> str:
    packaged = files("payonce") / "config" / "payonce.toml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parents[3] / DEFAULT_FILE).read_text(encoding="utf-8")


def _lay(tree: Tree, path: list[str], value: str, name: str) -> None:
    *parents, last = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise BadSettings(name, f"{parent} is not a table", "a key of docs/configuration.md")
    tree[last] = _value(value)


def _value(text: str) -> Any:
    """Return JSON lists and tables as such, everything else as text for its reader."""
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _known() -> str:
    return ", ".join(sorted(PREFIX + name for name in (*SERVERS, *OTHER)))
