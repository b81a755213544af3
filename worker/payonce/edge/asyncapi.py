"""The AsyncAPI document: the messages on the bus, made of the types of their data."""

from typing import Any

from payonce import __version__
from payonce.adapters.codec import CLOUDEVENT, JSON, SOURCE
from payonce.adapters.rabbitmq.topology import PAYMENTS
from payonce.edge.schemas import Schema, Schemas
from payonce.ports.events import INBOUND, OUTBOUND, Envelope

_ABOUT = (
    "Declare a durable queue of your own, bind it to the exchange, acknowledge last. An order has "
    "exactly one `payment.succeeded` id, delivered at least once: drop an id that you have seen. "
    "`data.order_version` grows with every event of an order. Leave alone fields that you do not "
    "know. A message from you is a CloudEvent, or its bare `data` as application/json."
)
_BINDINGS = "0.3.0"
_ALWAYS = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"]


def asyncapi_document() -> dict[str, Any]:
    """Return the document, version 3.0; `send` is what payonce sends, `receive` what it takes."""
    schemas = Schemas()
    messages: dict[str, Schema] = {}
    for told, data in OUTBOUND.items():
        messages[told] = _event(told, schemas.of(data), schemas)
    for key, data in INBOUND.items():
        messages[key] = _enveloped(key, schemas.of(data), schemas)
        messages[_bare(key)] = _message(key, JSON, schemas.of(data))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "payonce",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CLOUDEVENT,
        "channels": {key: _channel(key) for key in (*INBOUND, *OUTBOUND)},
        "operations": {
            **{f"receive.{key}": _operation("receive", key) for key in INBOUND},
            **{f"send.{key}": _operation("send", key) for key in OUTBOUND},
        },
        "components": {"messages": messages, "schemas": schemas.components},
    }


def _bare(key: str) -> str:
    return f"{key}.bare"


def _names(key: str) -> list[str]:
    return [key, _bare(key)] if key in INBOUND else [key]


def _channel(key: str) -> Schema:
    exchange = {"name": PAYMENTS, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": key,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(key)},
        "bindings": {
            "amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDINGS}
        },
    }


def _operation(action: str, key: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{key}"},
        "messages": [{"$ref": f"#/channels/{key}/messages/{name}"} for name in _names(key)],
        "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "bindingVersion": _BINDINGS}},
    }


def _message(key: str, content_type: str, payload: Schema) -> Schema:
    return {"name": key, "contentType": content_type, "payload": payload}


def _enveloped(key: str, data: Schema, schemas: Schemas) -> Schema:
    more = {"properties": {"type": {"const": key}, "data": data}, "required": ["data"]}
    return _message(key, CLOUDEVENT, {"allOf": [schemas.of(Envelope), more]})


def _event(key: str, data: Schema, schemas: Schemas) -> Schema:
    """Return a message of payonce's own; the broker's `message_id` is its `id`."""
    more = {
        "properties": {"type": {"const": key}, "source": {"const": SOURCE}, "data": data},
        "required": _ALWAYS,
    }
    return _message(key, CLOUDEVENT, {"allOf": [schemas.of(Envelope), more]})
