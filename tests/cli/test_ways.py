"""What payonce check says of the ways to the servers: who might read along."""

import pytest

from payonce.bootstrap.protection import FAR, Way, ways_to
from payonce.settings import Servers

NEAR = ", within this machine or a private network"
DSN, AMQP, REDIS = "postgresql://u:p@127.0.0.1/d", "amqp://127.0.0.1/", "redis://127.0.0.1/0"


async def ways(dsn: str = DSN, amqp: str = AMQP, redis: str = REDIS) -> dict[str, Way]:
    """Return the ways to three servers."""
    return await ways_to(Servers(dsn, amqp, redis))


async def test_plain_text_inside_is_said_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback, private addresses and private names are what compose and clusters have."""
    monkeypatch.delenv("PGSSLMODE", raising=False)
    found = await ways("postgresql://10.0.0.7,db/d", "amqp://rabbitmq/", "redis://[fd12::1]/0")
    assert {
        "postgresql": Way(
            f"encrypted only if the server offers it, its certificate not verified{NEAR}"
        ),
        "rabbitmq": Way(f"in plain text{NEAR}"),
        "redis": Way(f"in plain text{NEAR}"),
    } == found


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("postgresql", {"dsn": "postgresql://1.1.1.1/d?sslmode=require"}),
        ("postgresql", {"dsn": "postgresql://10.0.0.7,1.1.1.1/d?sslmode=prefer"}),
        ("postgresql", {"dsn": "postgresql://1.1.1.1/d?sslmode=verify-ca"}),
        ("rabbitmq", {"amqp": "amqp://1.1.1.1/"}),
        ("rabbitmq", {"amqp": "amqps://1.1.1.1/?no_verify_ssl=1"}),
        ("rabbitmq", {"amqp": "amqp://no-such-host.invalid/"}),
        ("redis", {"redis": "redis://[2606:4700:4700::1111]/0"}),
        ("redis", {"redis": "rediss://1.1.1.1/0?ssl_cert_reqs=none"}),
        ("redis", {"redis": "rediss://1.1.1.1/0?ssl_check_hostname=false"}),
    ],
)
async def test_what_strangers_can_read_is_warned_of(name: str, changed: dict[str, str]) -> None:
    """Outside of private networks nothing less than TLS with verification is in order."""
    found = await ways(**changed)
    assert found[name].warning
    assert FAR in found[name].words
    assert [name] == [one for one, way in found.items() if way.warning]


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("postgresql", {"dsn": "postgresql://1.1.1.1/d?sslmode=verify-full"}),
        ("rabbitmq", {"amqp": "amqps://1.1.1.1/"}),
        ("redis", {"redis": "rediss://1.1.1.1/0"}),
    ],
)
async def test_tls_with_verification_may_lead_anywhere(name: str, changed: dict[str, str]) -> None:
    """It is said in one line that is no warning."""
    assert Way("encrypted, its certificate verified") == (await ways(**changed))[name]
