"""A server that is not the one that was meant, or takes no TLS, is refused in words that help."""

import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from payonce.adapters.metrics import NullMeter
from payonce.adapters.postgres.database import Database, connect
from payonce.adapters.rabbitmq import connection
from payonce.adapters.rabbitmq.declare import queue_depths
from payonce.adapters.rabbitmq.management import Management
from payonce.adapters.redis import link
from payonce.adapters.redis.link import RedisLink
from payonce.adapters.webhook import connect_problem
from payonce.domain.errors import Unavailable
from payonce.gateways import client
from payonce.gateways.client import NoAnswer
from tests.support.authority import Authority
from tests.support.standing import Take, silent, standing

Use = Callable[[str, int, Path], Awaitable[str]]
"""Connects to host and port, trusting the CA in a file; returns what is said of the failure."""

STARTTLS = frozenset({"postgresql", "postgresql pool"})


async def problem_of(work: Awaitable[object]) -> str:
    """Return the problem that work meets."""
    with pytest.raises(Unavailable) as caught:
        await work
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def dsn_of(host: str, port: int, ca: Path) -> str:
    """Return a DSN that verifies all."""
    return f"postgresql://u:hunter2@{host}:{port}/d?sslmode=verify-full&sslrootcert={ca}"


async def by_postgres(host: str, port: int, ca: Path) -> str:
    """Connect for one piece of work."""
    return await problem_of(connect(dsn_of(host, port, ca)))


async def by_pool(host: str, port: int, ca: Path) -> str:
    """Connect as the worker does."""
    database = Database(dsn_of(host, port, ca))
    await database.open()
    try:
        return await problem_of(database.ping())
    finally:
        await database.close()


async def by_amqp(host: str, port: int, ca: Path) -> str:
    """Connect as worker and kit do, by our own transport."""
    url = f"amqps://u:hunter2@{host}:{port}/?cafile={ca}"
    return await problem_of(connection.connect(url, "test"))


async def by_plain_amqp(host: str, port: int, ca: Path) -> str:
    """Connect for one piece of work, by the library's transport."""
    return await problem_of(queue_depths(f"amqps://u:hunter2@{host}:{port}/?cafile={ca}", ["q"]))


async def by_redis(host: str, port: int, ca: Path) -> str:
    """Connect to Redis."""
    redis = RedisLink(f"rediss://:hunter2@{host}:{port}/0?ssl_ca_certs={ca}", NullMeter())
    try:
        return await problem_of(redis.ping())
    finally:
        await redis.close()


async def by_management(host: str, port: int, _ca: Path) -> str:
    """Ask the management API; the CA is the system's."""
    url = f"https://u:hunter2@{host}:{port}"
    return await problem_of(Management(url, "amqp://h/").counts())


async def by_gateway(host: str, port: int, _ca: Path) -> str:
    """Ask a gateway; the CA is the system's."""
    limit = aiohttp.ClientTimeout(total=5)
    async with client.open_session() as session:
        with pytest.raises(NoAnswer) as caught:
            await client.call(session, "GET", URL(f"https://{host}:{port}/"), {}, limit)
    assert not caught.value.sent
    return f"{host}:{port}: {caught.value.problem}"


async def by_check(host: str, port: int, _ca: Path) -> str:
    """Look whether the order service takes connections; the CA is the system's."""
    problem = await connect_problem(f"https://{host}:{port}/", 5, allow_private=False)
    assert problem is not None
    return problem.replace(host, f"{host}:{port}", 1)


USES: dict[str, Use] = {
    "postgresql": by_postgres,
    "postgresql pool": by_pool,
    "rabbitmq": by_amqp,
    "rabbitmq, one piece of work": by_plain_amqp,
    "redis": by_redis,
}
BY_SYSTEM: dict[str, Use] = {
    "management": by_management,
    "gateway": by_gateway,
    "order service": by_check,
}
each_use = pytest.mark.parametrize("use", sorted(USES))
each_by_system = pytest.mark.parametrize("use", sorted(BY_SYSTEM))


def tls_server(
    use: str, files: tuple[Path, Path], only: ssl.TLSVersion | None = None
) -> AbstractAsyncContextManager[int]:
    """Return a server that begins TLS as this use of it expects; `only`: with one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if only is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = only
            context.maximum_version = only
        context.set_ciphers("ALL:@SECLEVEL=0")

    def take(connection: socket.socket) -> None:
        if use in STARTTLS:
            connection.recv(8)
            connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as secured:
            silent(secured)

    return standing(take)


@each_use
async def test_an_authority_that_is_not_trusted_is_refused(use: str, tmp_path: Path) -> None:
    """The right name on a stranger's certificate counts for nothing."""
    strangers, ours = Authority(tmp_path / "strangers"), Authority(tmp_path / "ours")
    async with tls_server(use, strangers.issue("server")) as port:
        said = await USES[use]("127.0.0.1", port, ours.ca)
    assert f"127.0.0.1:{port}" in said
    assert "its certificate comes from nobody trusted here: name its CA by " in said


@each_by_system
async def test_a_private_authority_is_not_trusted_unless_it_is_named(
    use: str, tmp_path: Path
) -> None:
    """HTTP clients are told of it by the variable of OpenSSL."""
    ours = Authority(tmp_path)
    async with tls_server(use, ours.issue("server")) as port:
        said = await BY_SYSTEM[use]("127.0.0.1", port, ours.ca)
    assert f"127.0.0.1:{port}" in said
    assert "its certificate comes from nobody trusted here: name its CA by SSL_CERT_FILE" in said


@each_use
async def test_a_certificate_of_another_host_is_refused(use: str, tmp_path: Path) -> None:
    """Whoever holds a certificate of the same authority is not the server for that."""
    ours = Authority(tmp_path)
    async with tls_server(use, ours.issue("other", ["other.example"])) as port:
        said = await USES[use]("127.0.0.1", port, ours.ca)
        named = await USES[use]("localhost", port, ours.ca)
    assert f"127.0.0.1:{port}" in said
    assert f"localhost:{port}" in named
    assert "its certificate is for another host" in said
    assert "its certificate is for another host" in named


@each_use
async def test_a_certificate_that_has_expired_is_refused(use: str, tmp_path: Path) -> None:
    """By a minute."""
    ours = Authority(tmp_path)
    old = ours.issue("old", ended=timedelta(minutes=1))
    async with tls_server(use, old) as port:
        said = await USES[use]("127.0.0.1", port, ours.ca)
    assert f"127.0.0.1:{port}" in said
    assert "its certificate has expired: renew it" in said


@each_use
async def test_an_old_protocol_is_refused(use: str, tmp_path: Path) -> None:
    """A server that was talked down to TLS 1.1, or knows no other."""
    ours = Authority(tmp_path)
    files = ours.issue("server")
    async with tls_server(use, files, ssl.TLSVersion.TLSv1_1) as port:
        said = await USES[use]("127.0.0.1", port, ours.ca)
    assert f"127.0.0.1:{port}" in said
    assert "it speaks no TLS that is new enough" in said


def refusing(connection: socket.socket) -> None:
    """Answer as a PostgreSQL without TLS does, or as somebody on the way who wants to listen."""
    connection.recv(8)
    connection.sendall(b"N")
    silent(connection)


def stuffing(connection: socket.socket) -> None:
    """Answer yes, and more, which must not count as said under TLS (CVE-2021-23222)."""
    connection.recv(8)
    connection.sendall(b"SE")
    silent(connection)


def greeting(connection: socket.socket) -> None:
    """Answer in plain text, as RabbitMQ and HTTP servers do."""
    connection.recv(1)
    connection.sendall(b"AMQP\x00\x00\x09\x01HTTP/1.1 400 Bad Request\r\n\r\n")
    silent(connection)


async def held(use: str, take: Take, tmp_path: Path) -> str:
    """Return what is said of a server that takes no TLS."""
    ca = Authority(tmp_path).ca
    async with standing(take) as port:
        said = await (USES | BY_SYSTEM)[use]("127.0.0.1", port, ca)
        assert f"127.0.0.1:{port}" in said
        return said


@pytest.mark.parametrize("use", ["rabbitmq", "rabbitmq, one piece of work", *BY_SYSTEM])
async def test_plain_text_behind_an_address_with_tls_is_refused(use: str, tmp_path: Path) -> None:
    """Nothing is said to it but the beginning of TLS."""
    assert "it does not speak TLS: is this its port" in await held(use, greeting, tmp_path)


@pytest.mark.parametrize("take", [refusing, stuffing])
@pytest.mark.parametrize("use", sorted(STARTTLS))
async def test_postgres_is_not_talked_out_of_tls(use: str, take: Take, tmp_path: Path) -> None:
    """Whoever answers that there is none gets no password."""
    assert "it offers no TLS, which sslmode asks for" in await held(use, take, tmp_path)


@pytest.mark.parametrize("take", [silent, greeting])
async def test_redis_in_plain_text_is_refused(
    take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for the rest of a command is not waited for."""
    monkeypatch.setattr(link, "SOCKET_TIMEOUT_S", 0.2)
    assert "is this its port for TLS?" in await held("redis", take, tmp_path)
