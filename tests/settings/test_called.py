"""Addresses that payonce is to call: written out, any that somebody can mean is taken."""

from pathlib import Path

import pytest

from payonce.domain.errors import InvalidField
from payonce.kit.webhook import check_url
from tests.settings.reading import read, refusal, variable_of

KEYS = ("gateways.mock.base_url", "order_service.notify_url", "broker.management_url")
TAKEN = (
    "http://127.0.0.1:9090",
    "http://10.0.0.7",
    "http://[::1]:9090",
    "http://[fd12::1]",
    "http://gateway-mock:9090",
    "http://orders.shop.svc.cluster.local/paid",
    "https://pay.example.com",
)
NEVER = (
    "http://169.254.169.254/latest",
    "http://[fe80::1]:80",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://100.100.100.200",
    "http://0.0.0.0:9090",
    "http://[::]:9090",
    "http://224.0.0.1",
    "http://[ff02::1]",
    "http://\uff11\uff16\uff19.254.169.254/",
    "http://2852039166/",
    "http://169.254.43518/",
)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("url", TAKEN)
def test_what_somebody_can_mean_is_taken(tmp_path: Path, key: str, url: str) -> None:
    """Loopback, private addresses and names need no other key."""
    read(tmp_path, **{variable_of(key): url})
    assert url == check_url(url)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("url", NEVER)
def test_what_nobody_means_is_refused(tmp_path: Path, key: str, url: str) -> None:
    """The clouds' addresses for credentials, multicast, no address at all: in any spelling."""
    assert key == refusal(tmp_path, **{variable_of(key): url}).key
    with pytest.raises(InvalidField):
        check_url(url)


def test_a_private_network_is_allowed_one_by_one(tmp_path: Path) -> None:
    """By the gateway's table, or the order service's; neither is the default."""
    assert not read(tmp_path).gateways["mock"].allow_private
    assert not read(tmp_path).order_service.allow_private
    settings = read(
        tmp_path,
        GATEWAYS__MOCK__ALLOW_PRIVATE="true",
        ORDER_SERVICE__ALLOW_PRIVATE="true",
    )
    assert settings.gateways["mock"].allow_private
    assert settings.order_service.allow_private
    refusal(tmp_path, GATEWAYS__MOCK__ALLOW_PRIVATE="perhaps")
