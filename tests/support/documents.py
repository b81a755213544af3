"""Holds what was seen on the wire to the served documents, more strictly than they say.

A document lets fields come that nobody knows yet; here a field that it does not name is an error.
"""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator, FormatChecker

from payonce.edge.documents import encoded
from payonce.edge.operations import is_page

PROBLEM = "application/problem+json"


class Checker:
    """The validators of one document, made when they are first needed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = tightened(document)
        self._validators: dict[tuple[str, ...], Draft202012Validator] = {}

    def complaints(self, where: tuple[str, ...], data: object) -> list[str]:
        """Return what is wrong with `data` by the schema at this place of the document."""
        validator = self._validators.get(where)
        if validator is None:
            pointer = "/".join(one.replace("~", "~0").replace("/", "~1") for one in where)
            schema = {**self._document, "$ref": f"#/{pointer}"}
            validator = Draft202012Validator(schema, format_checker=FormatChecker())
            self._validators[where] = validator
        return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(data)]

    def operation(self, method: str, path: str) -> tuple[str, str] | None:
        """Return the template and method that serve a path, None where there are none."""
        for template in sorted(self._document["paths"], key=lambda one: one.count("{")):
            pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in self._document["paths"][template]:
                return template, method.lower()
        return None

    def responses(self, template: str, method: str) -> Mapping[str, Any]:
        """Return the documented responses of an operation, by status."""
        found: Mapping[str, Any] = self._document["paths"][template][method]["responses"]
        return found


class HttpChecker(Checker):
    """Checks answers against an OpenAPI document."""

    def check(self, method: str, path: str, status: int, kind: str, body: bytes) -> None:
        """Raise AssertionError where an answer is not what the document says of it."""
        if is_page(path):
            return
        content_type = kind.partition(";")[0].strip()
        problems = self._problems(method, path, status, content_type, body)
        assert not problems, (method, path, status, problems, body[:500])

    def _problems(
        self, method: str, path: str, status: int, content_type: str, body: bytes
    ) -> list[str]:
        operation = self.operation(method, path)
        if operation is None:
            if status < 400 or content_type != PROBLEM:
                return ["no such operation is documented, but there is no problem document"]
            return self.complaints(("components", "schemas", "Problem"), json.loads(body))
        responses = self.responses(*operation)
        key = str(status) if str(status) in responses else f"{status // 100}XX"
        if key not in responses:
            return [f"the status is not documented: {', '.join(responses)}"]
        content = responses[key]["content"]
        if "*/*" in content:
            return []
        if content_type not in content:
            return [f"{content_type} is not documented: {', '.join(content)}"]
        data = json.loads(body) if content_type.endswith("json") else body.decode()
        where = ("paths", operation[0], operation[1], "responses", key, "content", content_type)
        return self.complaints((*where, "schema"), data)


class EventChecker(Checker):
    """Checks messages against an AsyncAPI document."""

    def check(self, body: bytes) -> None:
        """Raise AssertionError where a CloudEvent is not what the document says of its type."""
        event = json.loads(body)
        where = ("components", "messages", event["type"], "payload")
        assert event["type"] in self._document["components"]["messages"], event
        problems = self.complaints(where, event)
        assert not problems, (problems, event)


def tightened(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document whose objects hold nothing that it does not name."""
    tight = deepcopy(dict(document))
    parts = {
        one["$ref"] for node in _nodes(tight) for one in node.get("allOf", ()) if "$ref" in one
    }
    for node in _nodes(tight):
        if "allOf" in node:
            node["unevaluatedProperties"] = False
    components = tight["components"]["schemas"]
    whole = {name: one for name, one in components.items() if _ref(name) not in parts}
    for node in (*_nodes(whole), *_nodes(tight.get("paths", {}))):
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
    return tight


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for one in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(one)


@lru_cache(maxsize=4)
def http_checker(document: bytes) -> HttpChecker:
    """Return the checker of a served document; one serves all tests of a process."""
    return HttpChecker(json.loads(document))


async def check_answer(answer: aiohttp.ClientResponse) -> None:
    """Raise AssertionError where an answer of an edge is not what the document says.

    What the mock answers, whose paths begin otherwise, is not looked at.
    """
    if not answer.url.path.startswith("/v1/"):
        return
    checker = http_checker(encoded("openapi").body)
    body = await answer.read()
    checker.check(answer.method, answer.url.path, answer.status, answer.content_type, body)


@lru_cache(maxsize=1)
def event_checker() -> EventChecker:
    """Return the checker of the messages on the bus."""
    return EventChecker(json.loads(encoded("asyncapi").body))


def check_event(body: bytes) -> None:
    """Raise AssertionError where a CloudEvent is not what the AsyncAPI document says."""
    event_checker().check(body)
