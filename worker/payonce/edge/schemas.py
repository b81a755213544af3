"""JSON Schema of the types that the code uses, as components of a document."""

from typing import Any

import msgspec

Schema = dict[str, Any]


class Schemas:
    """Collects what the types of one document need; each name stands for one type."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type: a reference where it has a name of its own."""
        [schema], found = msgspec.json.schema_components(
            [kind], ref_template="#/components/schemas/{name}"
        )
        for name, component in found.items():
            if self.components.setdefault(name, component) != component:
                raise ValueError(f"two types are called {name}")
        return dict(schema)
