"""The three servers' URLs: how far they protect, and what they may not say by half."""

from pathlib import Path

import pytest

from payonce.domain.errors import InvalidField
from payonce.kit import OrderConsumer
from payonce.settings.servers import (
    Protection,
    amqp_protection,
    hosts_of,
    postgres_protection,
    redis_protection,
)
from tests.settings.reading import read, refusal
from tests.support.authority import Authority


@pytest.mark.parametrize(
    ("query", "environ", "protection"),
    [
        ("", {}, Protection.PERHAPS),
        ("", {"PGSSLMODE": "verify-full"}, Protection.VERIFIED),
        ("?sslmode=disable", {"PGSSLMODE": "verify-full"}, Protection.PLAIN),
        ("?sslmode=allow", {}, Protection.PERHAPS),
        ("?sslmode=prefer&sslrootcert=/ca", {}, Protection.PERHAPS),
        ("?sslmode=require", {}, Protection.UNVERIFIED),
        ("?sslmode=require&sslrootcert=/ca", {}, Protection.CHAIN),
        ("?sslmode=require", {"PGSSLROOTCERT": "/ca"}, Protection.CHAIN),
        ("?sslmode=verify-ca", {}, Protection.CHAIN),
        ("?sslmode=verify-full", {}, Protection.VERIFIED),
    ],
)
def test_a_dsn_protects_as_its_sslmode_says(
    query: str, environ: dict[str, str], protection: Protection
) -> None:
    """What it leaves open, libpq's variables say; without any it is encrypted by chance."""
    assert protection is postgres_protection(f"postgresql://u:p@h/d{query}", environ)


def test_a_socket_needs_no_protection() -> None:
    """Nobody is in between."""
    assert Protection.LOCAL is postgres_protection("postgresql:///d?host=/run/postgresql", {})
    assert Protection.LOCAL is redis_protection("unix:///run/redis.sock")
    assert Protection.PERHAPS is postgres_protection("postgresql:///d", {"PGHOST": "db"})


@pytest.mark.parametrize(
    ("url", "protection"),
    [
        ("amqp://h/", Protection.PLAIN),
        ("amqps://h/", Protection.VERIFIED),
        ("amqps://h/?no_verify_ssl=0", Protection.VERIFIED),
        ("amqps://h/?no_verify_ssl=1", Protection.UNVERIFIED),
    ],
)
def test_a_broker_is_verified_by_default(url: str, protection: Protection) -> None:
    """As soon as it is spoken to by amqps."""
    assert protection is amqp_protection(url)


@pytest.mark.parametrize(
    ("url", "protection"),
    [
        ("redis://h/0", Protection.PLAIN),
        ("rediss://h/0", Protection.VERIFIED),
        ("rediss://h/0?ssl_cert_reqs=none", Protection.UNVERIFIED),
        ("rediss://h/0?ssl_check_hostname=False", Protection.CHAIN),
        ("rediss://h/0?ssl_cert_reqs=optional&ssl_check_hostname=yes", Protection.VERIFIED),
    ],
)
def test_redis_is_verified_by_default(url: str, protection: Protection) -> None:
    """As soon as it is spoken to by rediss."""
    assert protection is redis_protection(url)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@a:1,[fd12::1]:2,c/d", ["a", "fd12::1", "c"]),
        ("postgresql:///d?host=a,/run", ["a"]),
        ("amqp://u:p%40x@h:1/", ["h"]),
        ("unix:///run/redis.sock", []),
    ],
)
def test_hosts_of_a_url(url: str, hosts: list[str]) -> None:
    """All that it names, without ports and sockets."""
    assert hosts == hosts_of(url, {})


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("AMQP_URL", "amqp://u:hunter2@h/?cafile=/ca.pem"),
        ("AMQP_URL", "amqp://u:hunter2@h/?no_verify_ssl=0"),
        ("AMQP_URL", "amqps://u:hunter2@h/?no_verify_ssl=false"),
        ("AMQP_URL", "amqps://u:hunter2@h/?no_verify_ssl="),
        ("REDIS_URL", "redis://:hunter2@h/0?ssl_ca_certs=/ca.pem"),
        ("REDIS_URL", "rediss://:hunter2@h/0?ssl_ca_cert=/ca.pem"),
        ("REDIS_URL", "rediss://:hunter2@h/0?ssl_cert_reqs=CERT_REQUIRED"),
        ("AMQP_URL", "amqps://u:hunter2@h/?cafile=/nowhere/ca.pem"),
        ("AMQP_URL", "amqps://u:hunter2@h/?certfile=/nowhere/me.pem"),
        ("REDIS_URL", "rediss://:hunter2@h/0?ssl_ca_certs=/etc/hostname"),
        ("POSTGRES_DSN", "postgresql://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/nowhere"),
        ("POSTGRES_DSN", "postgresql://u:hunter2@h/d?sslmode=verify-full&sslcert=/nowhere"),
    ],
)
def test_half_a_protection_is_refused(tmp_path: Path, key: str, url: str) -> None:
    """TLS that would silently not be, or a file that is not there, stops every command."""
    error = refusal(tmp_path, **{key: url})
    assert f"PAYONCE_{key}" == error.key
    assert "hunter2" not in str(error)


def test_files_that_are_there_are_taken(tmp_path: Path) -> None:
    """Those of a CA, and of a certificate of ours."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("payonce")
    dsn = f"postgresql://h/d?sslmode=verify-full&sslrootcert={authority.ca}"
    amqp = f"amqps://h/?cafile={authority.ca}&certfile={certificate}&keyfile={key}"
    redis = f"rediss://h/0?ssl_ca_certs={authority.ca}&ssl_certfile={certificate}"
    servers = read(tmp_path, POSTGRES_DSN=dsn, AMQP_URL=amqp, REDIS_URL=redis).servers
    assert (dsn, amqp, redis) == (servers.postgres_dsn, servers.amqp_url, servers.redis_url)


def test_the_kit_refuses_the_same() -> None:
    """An order service that thinks it has TLS shall have it."""

    async def book(_event: object) -> None:
        """Book nothing."""

    with pytest.raises(InvalidField):
        OrderConsumer("billing", "amqp://h/?cafile=/ca.pem", book)
