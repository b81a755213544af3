"""PayPal's official schemas, trimmed (tests/vectors/paypal): do requests and answers fit?"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

FOLDER = Path(__file__).parents[1] / "vectors" / "paypal"

# What is asked for, and what is answered: (document, schema).
REQUESTS = {
    "order_request": ("orders_v2", "order_request"),
    "order_capture_request": ("orders_v2", "order_capture_request"),
    "refund_request": ("payments_v2", "refund_request"),
}
ANSWERS = {
    "order": ("orders_v2", "order"),
    "capture": ("payments_v2", "capture-2"),
    "refund": ("payments_v2", "refund"),
    "error_400": ("orders_v2", "error_400"),
    "error_401": ("orders_v2", "error_401"),
    "error_404": ("orders_v2", "error_404"),
    "error_422": ("orders_v2", "error_422"),
}


def check(name: str, data: Any) -> None:
    """Raise ValueError where a document does not fit the official schema of its name."""
    errors = [
        f"{'/'.join(str(one) for one in error.absolute_path)}: {error.message[:300]}"
        for error in _validator(name).iter_errors(data)
    ]
    errors += _unknown_fields(name, data)
    if errors:
        raise ValueError(f"{name}: {'; '.join(errors)}")


@cache
def document(name: str) -> dict[str, Any]:
    """Return one of the official documents."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@cache
def _validator(name: str) -> Any:
    kind = OAS30WriteValidator if name in REQUESTS else OAS30ReadValidator
    file, schema = (REQUESTS | ANSWERS)[name]
    resource = Resource.from_contents(document(file), default_specification=DRAFT4)
    registry: Registry[Any] = Registry().with_resource("urn:paypal", resource)
    return kind({"$ref": f"urn:paypal#/components/schemas/{schema}"}, registry=registry)


def _unknown_fields(name: str, data: Any) -> list[str]:
    """Return the fields that the schema does not know: PayPal would leave a misspelt one alone."""
    file, schema = (REQUESTS | ANSWERS)[name]
    schemas = document(file)["components"]["schemas"]
    return list(_strangers(schemas, {"$ref": f"#/{schema}"}, data, name))


def _strangers(schemas: dict[str, Any], schema: dict[str, Any], data: Any, at: str) -> list[str]:
    shapes = list(_shapes(schemas, schema))
    if isinstance(data, list):
        items = [one["items"] for one in shapes if "items" in one]
        return [
            each
            for n, one in enumerate(data)
            for each in (_strangers(schemas, items[0], one, f"{at}/{n}") if items else [])
        ]
    known = {key: one for shape in shapes for key, one in shape.get("properties", {}).items()}
    if not isinstance(data, dict) or not known:
        return []
    found = [f"{at}/{key} is unknown" for key in data if key not in known]
    for key, value in data.items():
        if key in known:
            found += _strangers(schemas, known[key], value, f"{at}/{key}")
    return found


def _shapes(schemas: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a schema and all that it is made of."""
    if "$ref" in schema:
        return _shapes(schemas, schemas[schema["$ref"].rsplit("/", 1)[1]])
    return [schema, *(each for one in schema.get("allOf", []) for each in _shapes(schemas, one))]
