"""Servers for the tests: private ones, or those that the environment names."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.servers import Servers

_numbers = count(1)

# How long an example takes is the machine's business.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start private servers for the whole run; a missing program is an error, never a skip."""
    folder = Path(tempfile.mkdtemp(prefix="payonce-tests-"))
    folder.chmod(0o711)
    running = Servers(folder, fast=True)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_dsn(servers: Servers) -> Iterator[str]:
    """A database of the test's own."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    yield servers.postgres.fresh_database(name)
    servers.postgres.drop_database(name)


@pytest.fixture
def amqp_url(servers: Servers) -> Iterator[str]:
    """A virtual host of the test's own."""
    name = f"t{os.getpid()}.{next(_numbers)}"
    yield servers.rabbitmq.fresh_vhost(name)
    servers.rabbitmq.delete_vhost(name)


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """An empty Redis."""
    servers.redis.flush()
    return servers.redis.url
