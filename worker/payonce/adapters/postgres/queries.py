"""SQL has names and lives in .sql files: `-- name: lock_payments` begins a statement."""

import re
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)


def load(topic: str) -> dict[str, str]:
    """Return the statements of `sql/<topic>.sql` by name."""
    return parse(resources.files(__package__).joinpath("sql", f"{topic}.sql").read_text("utf-8"))


def parse(text: str) -> dict[str, str]:
    """Return the statements of a file by name. Raises ValueError where one is named twice."""
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a statement is named twice: {', '.join(names)}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}
