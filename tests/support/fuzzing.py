"""Schemathesis on a running edge: requests made of the served document, good and bad ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode as Mode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from tests.support.documents import http_checker

LONGEST_S = 10

load_all_checks()
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
_NAMING = (("Application", "gateway"), ("Choice", "gateway"), ("RefundRequest", "payment_id"))
"""Bodies that name what there has to be."""


class Fuzzer:
    """Asks one edge with one token. `known`: what there is, by the name of a path's part.

    `wanted` are the operations to ask; `asked` counts the answers of each by status.
    """

    def __init__(self, url: str, who: str, token: str, known: Mapping[str, Sequence[Any]]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{url}/openapi.json", timeout=LONGEST_S)
        self._checker = http_checker(answer.content)
        document = _open_to(who, answer.json())
        self.wanted = {
            f"{method.upper()} {path}"
            for path, methods in document["paths"].items()
            for method in methods
        }
        self._any = schemathesis.openapi.from_dict(document)
        self._known = schemathesis.openapi.from_dict(_knowing(document, known))
        self._components = document["components"]["schemas"]
        self.asked: dict[str, Counter[int]] = {}

    def run(self, examples: int) -> Iterator[str]:
        """Ask so many good things of what there is, and so many bad ones; yield what went wrong.

        The same ones in every run.
        """
        for schema, mode in ((self._known, Mode.POSITIVE), (self._any, Mode.NEGATIVE)):
            for found in schema.get_all_operations():
                assert isinstance(found, Ok)
                operation = found.ok()
                if mode is Mode.NEGATIVE and not _takes_anything(operation):
                    continue
                try:
                    self._run(operation, mode, examples)
                except (AssertionError, FailureGroup) as error:
                    yield f"{operation.label}, {mode.value}: {_told(error)}"

    def _fields(self, operation: Any) -> set[str]:
        """Return what may be found wrong in a request."""
        raw = operation.definition.raw
        names = {one["name"] for one in raw["parameters"]} | {"body"}
        for content in raw.get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            names |= self._components.get(name, {}).get("properties", {}).keys()
        return names

    def _run(self, operation: Any, mode: Mode, examples: int) -> None:
        @settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            self._ask(case)

        ask()

    def _ask(self, case: Any) -> None:
        response = case.call(base_url=self._url, headers=self._headers, timeout=LONGEST_S)
        case.validate_response(response, checks=CHECKS, headers=self._headers)
        self._check(case, response)

    def _check(self, case: Any, response: Any) -> None:
        """Hold an answer to the document, more strictly; what is refused names its field."""
        path = urlsplit(response.request.url).path
        kind = response.headers.get("content-type", [""])[0]
        self._checker.check(case.method, path, response.status_code, kind, response.content)
        self.asked.setdefault(case.operation.label, Counter())[response.status_code] += 1
        if response.status_code == 422 and response.json()["type"] == "/problems/invalid":
            problem = response.json()
            assert problem["allowed"], problem
            # A field that nobody knows is named as it was written, whatever that was.
            is_unknown = "unknown field" in problem["detail"]
            field = problem["field"].partition("[")[0]
            assert is_unknown or field in self._fields(case.operation), problem


def _takes_anything(operation: Any) -> bool:
    """Say whether there is anything in a request that could be wrong."""
    return bool(operation.definition.raw["parameters"] or "requestBody" in operation.definition.raw)


def _told(error: BaseException) -> str:
    """Return what an error says, and all that it holds."""
    more = (_told(one) for one in getattr(error, "exceptions", ()))
    return "\n".join([str(error), *getattr(error, "__notes__", ()), *more])


def _open_to(who: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says to those who have this token, which they always send.

    An answer that goes on for ever is tested by those who listen to it.
    """
    asked = deepcopy(dict(document))
    paths: dict[str, Any] = {}
    for path, methods in asked["paths"].items():
        for method, operation in methods.items():
            if {who: []} in operation.pop("security") and not _goes_on(operation):
                paths.setdefault(path, {})[method] = operation
    return {**asked, "paths": paths}


def _goes_on(operation: Mapping[str, Any]) -> bool:
    answers = operation["responses"]
    return "101" in answers or "text/event-stream" in answers.get("200", {}).get("content", {})


def _knowing(document: Mapping[str, Any], known: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return a document that asks for nothing but what there is."""
    asked = deepcopy(dict(document))
    for methods in asked["paths"].values():
        for operation in methods.values():
            for one in operation["parameters"]:
                if one["name"] in known:
                    one["schema"] = {"enum": list(known[one["name"]])}
    for body, name in _NAMING:
        properties = asked["components"]["schemas"][body]["properties"]
        properties[name] = {"enum": list(known[name])}
    return asked
