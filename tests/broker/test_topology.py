import pytest

from payonce.adapters.memory.bus import matches
from payonce.adapters.rabbitmq.topology import (
    DUE,
    Binding,
    due_queue_name,
    payonce_topology,
    service_queue_name,
    service_topology,
)
from payonce.domain.errors import InvalidField
from payonce.ports.bus import WorkQueue


def test_each_wait_has_one_queue() -> None:
    """The ladders of all gateways share the queues of equal waits."""
    names = payonce_topology({WorkQueue.POLL: [3000, 10_000, 3000]}).queue_names()
    delays = [name for name in names if name.startswith("payonce.delay.")]
    assert ["payonce.delay.poll.3000", "payonce.delay.poll.10000"] == delays


def test_delay_queues_keep_clear_of_the_traps() -> None:
    """No expiry of the queue, no delivery limit, no routing key of its own, no length."""
    topology = payonce_topology({WorkQueue.POLL: [3000]})
    (delay,) = [one for one in topology.queues if one.name == "payonce.delay.poll.3000"]
    assert {
        "x-queue-type": "quorum",
        "x-message-ttl": 3000,
        "x-dead-letter-exchange": "payonce.due",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    } == delay.arguments


def test_all_queues_are_quorum_queues() -> None:
    """Only quorum queues survive a kill without loss."""
    kinds = {
        queue.arguments["x-queue-type"]
        for topology in (
            payonce_topology({WorkQueue.POLL: [3000]}),
            service_topology("shop", [1000]),
        )
        for queue in topology.queues
    }
    assert {"quorum"} == kinds


def test_service_and_payonce_agree_on_what_they_share() -> None:
    """Whichever comes first, the other finds what it would have declared."""
    ours, theirs = payonce_topology({WorkQueue.POLL: [3000]}), service_topology("shop", [1000])
    assert ours.exchanges == theirs.exchanges
    shared = set(ours.queue_names()) & set(theirs.queue_names())
    assert {"payonce.unrouted"} == shared
    assert [one for one in ours.queues if one.name in shared] == [
        one for one in theirs.queues if one.name in shared
    ]


def test_what_comes_due_finds_the_service() -> None:
    """A service's delayed messages come back to its own queue alone."""
    bindings = service_topology("shop", [1000]).bindings
    assert Binding(DUE, "shop.payment-succeeded", "*.svc-shop") in bindings


@pytest.mark.parametrize("name", ["", "Shop", "shop.x", "s" * 41, "payonce", "shop\n"])
def test_bad_service_names_are_refused(name: str) -> None:
    """A name that would break a routing key, or payonce's own queues, is refused."""
    with pytest.raises(InvalidField, match="service"):
        service_queue_name(name)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("payment.*", "payment.failed", True),
        ("payment.*", "payment", False),
        ("payment.*", "payment.a.b", False),
        ("payment.#", "payment.a.b", True),
        ("#", "", True),
        ("#.b", "a.b", True),
        ("3000.poll", "3000.poll", True),
        ("3000.poll", "3000.close", False),
    ],
)
def test_topic_patterns(pattern: str, key: str, expected: bool) -> None:
    """The in-process bus matches topics as AMQP does."""
    assert expected is matches(pattern, key)


@pytest.mark.parametrize(
    ("routing_key", "queue"),
    [
        ("3000.poll", "payonce.poll"),
        ("0.close", "payonce.close"),
        ("1000.svc-shop", "shop.payment-succeeded"),
        ("1000.svc-a-b", "a-b.payment-succeeded"),
        ("0.initiated", None),
        ("0.nobody", None),
        ("0.svc-", None),
        ("0.svc-payonce", None),
        ("poll", None),
        ("", None),
    ],
)
def test_what_comes_due_names_its_queue(routing_key: str, queue: str | None) -> None:
    """A delayed message that found no queue can still be sent where it belongs."""
    assert queue == due_queue_name(routing_key)
