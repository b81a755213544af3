"""The documents: valid, whole, served, and strict enough to find what they do not say."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import validate

from payonce.adapters.metrics import NullMeter
from payonce.bootstrap.edge import routes_of
from payonce.bootstrap.world import open_world
from payonce.domain.events import EventType
from payonce.edge.documents import DOCUMENTS, encoded
from payonce.edge.operations import OPERATIONS, Who, is_page
from payonce.edge.schemas import Schemas
from payonce.edge.server import Edge
from payonce.settings import load_settings
from tests.support.documents import HttpChecker, check_event, http_checker

Client = TestClient[web.Request, web.Application]


def test_the_openapi_document_is_valid() -> None:
    """By the specification, and each operation has a name of its own."""
    document = DOCUMENTS["openapi"]()
    validate(document)
    names = [one.name for one in OPERATIONS.values()]
    assert sorted(set(names)) == sorted(names)


async def test_every_route_is_described_and_every_description_served() -> None:
    """Nobody forgets one. Pages for people are left out by their paths alone."""
    async with open_world(load_settings({})) as world:
        edge = Edge(world.settings.http, {}, NullMeter().registry, routes_of(world))
        served = {
            (one.method, str(one.resource.canonical))
            for one in edge.app.router.routes()
            if one.resource is not None and one.method != "HEAD"
        }
    assert set(OPERATIONS) == {one for one in served if not is_page(one[1])}
    assert [] == [path for _, path in OPERATIONS if is_page(path)]


def test_the_asyncapi_document_holds_together() -> None:
    """Every reference leads to something, every message to a channel and an operation."""
    document = DOCUMENTS["asyncapi"]()
    assert "3.0.0" == document["asyncapi"]
    messages = document["components"]["messages"]
    used = [list(one["messages"]) for one in document["channels"].values()]
    assert sorted(messages) == sorted(name for names in used for name in names)
    assert set(document["channels"]) == {
        one["channel"]["$ref"].rpartition("/")[2] for one in document["operations"].values()
    }
    for reference in _references(document):
        assert isinstance(_at(document, reference), dict), reference


def test_the_bus_is_described_whole() -> None:
    """Every type of event has a channel, and is sent or taken in."""
    channels = DOCUMENTS["asyncapi"]()["channels"]
    assert {*EventType, "order.acknowledged", "order.cancelled"} == set(channels)
    for key, channel in channels.items():
        assert key == channel["address"]
        assert "payments" == channel["bindings"]["amqp"]["exchange"]["name"]


def _references(tree: Any) -> list[str]:
    if isinstance(tree, list):
        return [found for one in tree for found in _references(one)]
    if not isinstance(tree, dict):
        return []
    own = [tree["$ref"]] if "$ref" in tree else []
    return own + [found for one in tree.values() for found in _references(one)]


def _at(document: Any, reference: str) -> Any:
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of an edge that has not started yet."""
    async with open_world(load_settings({})) as world:
        http, registry = world.settings.http, NullMeter().registry
        edge = Edge(http, {}, registry, routes_of(world), is_prepared=lambda: False)
        async with TestClient(TestServer(edge.app)) as client:
            yield client


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
async def test_a_document_is_served_to_anybody(client: Client, name: str) -> None:
    """Also before payonce has started; who has it is told so."""
    answer = await client.get(f"/{name}.json")
    assert (200, "application/json") == (answer.status, answer.content_type)
    assert json.loads(json.dumps(DOCUMENTS[name]())) == await answer.json()
    tag = answer.headers["ETag"]
    for known in (tag, f'"other", {tag}', "*"):
        again = await client.get(f"/{name}.json", headers={"If-None-Match": known})
        assert (304, tag, b"") == (again.status, again.headers["ETag"], await again.read())
    other = await client.get(f"/{name}.json", headers={"If-None-Match": '"other"'})
    assert 200 == other.status


def test_two_types_of_one_name_are_refused() -> None:
    """A document cannot mean one by the other."""
    schemas = Schemas()
    schemas.of(msgspec.defstruct("Twin", [("a", int)]))
    with pytest.raises(ValueError, match="Twin"):
        schemas.of(msgspec.defstruct("Twin", [("b", int)]))


_APPLIED = {
    "payment_id": "p-1",
    "order_id": "o-1",
    "status": "PENDING",
    "checkout_url": "http://localhost/checkout/p-1?token=t",
    "order_token": "t",
    "expires_at": "2026-01-31T08:00:00.000Z",
}
_PROBLEM = {"type": "/problems/order-paid", "title": "Conflict", "status": 409, "detail": "-"}

Said = tuple[int, str, dict[str, Any]]

RIGHT: list[Said] = [
    (201, "application/json", _APPLIED),
    (202, "application/json; charset=utf-8", _APPLIED | {"qr": "https://pay"}),
    (409, "application/problem+json", _PROBLEM | {"settled_by": "p-0"}),
]
WRONG: list[Said] = [
    (200, "application/json", _APPLIED),
    (500, "application/problem+json", _PROBLEM),
    (201, "text/plain", _APPLIED),
    (201, "application/json", {k: v for k, v in _APPLIED.items() if k != "status"}),
    (201, "application/json", _APPLIED | {"secret": "x"}),
    (201, "application/json", _APPLIED | {"qr": None}),
    (201, "application/json", _APPLIED | {"status": "PAID"}),
    (201, "application/json", _APPLIED | {"expires_at": "tomorrow"}),
    (201, "application/json", _APPLIED | {"payment_id": "p/1"}),
    (409, "application/problem+json", _PROBLEM | {"type": "/problems/unheard-of"}),
    (409, "application/problem+json", _PROBLEM | {"status": 410}),
    (409, "application/problem+json", _PROBLEM | {"who": "me"}),
]


@pytest.fixture
def checker() -> HttpChecker:
    """What the tests of whole systems check answers with."""
    return http_checker(encoded("openapi").body)


@pytest.mark.parametrize("said", RIGHT)
def test_what_the_document_says_passes(checker: HttpChecker, said: Said) -> None:
    """The checker is not merely strict."""
    status, kind, body = said
    checker.check("POST", "/v1/payments", status, kind, json.dumps(body).encode())


@pytest.mark.parametrize("said", WRONG)
def test_what_the_document_does_not_say_is_found(checker: HttpChecker, said: Said) -> None:
    """Another status, content type or name of a problem; a field more, less, or of another kind."""
    status, kind, body = said
    with pytest.raises(AssertionError):
        checker.check("POST", "/v1/payments", status, kind, json.dumps(body).encode())


def test_what_follows_from_who_asks_is_said_of_every_route() -> None:
    """Wrong tokens make operators wait, and nobody else; a path knows its methods."""
    paths = DOCUMENTS["openapi"]()["paths"]
    for (method, path), operation in OPERATIONS.items():
        responses = paths[path][method.lower()]["responses"]
        assert "method-not-allowed" == responses["405"]["description"]
        assert (operation.who is Who.OPERATOR) == ("429" in responses), path
    waits = paths["/v1/ops/unresolved"]["get"]["responses"]["429"]
    assert ("too-many-attempts", ["Retry-After"]) == (waits["description"], list(waits["headers"]))


def test_an_unknown_path_answers_with_a_problem(checker: HttpChecker) -> None:
    """Of whatever name."""
    body = json.dumps(_PROBLEM | {"type": "/problems/not-found", "status": 404}).encode()
    checker.check("GET", "/nowhere", 404, "application/problem+json", body)
    with pytest.raises(AssertionError):
        checker.check("GET", "/nowhere", 404, "text/html", b"nowhere")
    with pytest.raises(AssertionError):
        checker.check("GET", "/nowhere", 200, "application/json", b"{}")


_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "968aec2c-0853-5a3e-a8c9-a34c7c08e8d5",
    "source": "/payonce",
    "type": "payment.closed",
    "subject": "o-1",
    "time": "2026-11-24T21:21:19.637Z",
    "datacontenttype": "application/json",
    "data": {
        "payment_id": "p-1",
        "order_id": "o-1",
        "gateway": "mock",
        "order_version": 1,
        "reason": "closed",
    },
}


def test_an_event_is_what_its_document_says() -> None:
    """In its envelope and in its data."""
    check_event(json.dumps(_EVENT).encode())
    check_event(json.dumps(_EVENT | {"traceparent": "00-1"}).encode())


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "/shop"},
        {"type": "payment.unheard"},
        {"subject": None},
        {"more": 1},
        {"data": _EVENT["data"] | {"more": 1}},
        {"data": _EVENT["data"] | {"order_version": "1"}},
        {"data": {}},
    ],
)
def test_an_event_that_its_document_does_not_know_is_found(changed: dict[str, Any]) -> None:
    """Also a field more."""
    with pytest.raises(AssertionError):
        check_event(json.dumps(_EVENT | changed).encode())
