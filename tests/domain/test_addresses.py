"""Which addresses are private, which are never called, and what a name's look allows."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.addresses import fits, is_private, is_private_name, why_never, why_refused

PRIVATE = (
    "127.0.0.1",
    "127.255.0.9",
    "10.0.0.7",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "fd12:3456::1",
    "fec0::1",
    "2001:db8::1",
    "::ffff:10.0.0.7",
    "::ffff:0:10.0.0.7",
    "::10.0.0.7",
    "64:ff9b::10.0.0.7",
    "64:ff9b:1::1",
    "2002:a00:7::1",
    "2001::1",
)
PUBLIC = ("1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::")
NEVER = (
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
)
PRIVATE_NAMES = (
    "localhost",
    "gateway-mock",
    "gateway-mock.",
    "shop.LOCAL",
    "shop.default.svc",
    "shop.default.svc.cluster.local",
    "shop.home.arpa",
    "api.shop.internal",
    "api.shop.test",
)
PUBLIC_NAMES = ("api.stripe.com", "internal.example.com", "home.arpa.example", "x.arpa", "local.io")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_for_private_names(address: str) -> None:
    """Under a public-looking name they are refused, unless the name is allowed."""
    assert is_private(ipaddress.ip_address(address))
    assert "private" == why_refused("pay.example.com", address)
    assert why_refused("gateway-mock", address) is None
    assert why_refused(address, address) is None, "the operator wrote it"
    assert why_refused("pay.example.com", address, ["pay.example.com"]) is None
    assert why_refused("pay.example.com", address, ["*.example.com"]) is None
    assert "private" == why_refused(
        "pay.example.com", address, ["example.com", "*.pay.example.com"]
    )


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_for_every_name(address: str) -> None:
    """Also where they are embedded in one of IPv6."""
    assert not is_private(ipaddress.ip_address(address))
    assert why_refused("pay.example.com", address) is None


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_for_nobody(address: str) -> None:
    """Neither written out, nor under a private name, nor under one that is allowed."""
    assert why_never(ipaddress.ip_address(address)) is not None
    assert why_refused(address, address) is not None
    assert why_refused("metadata.internal", address) is not None
    assert why_refused("pay.example.com", address, ["*.example.com"]) is not None


@pytest.mark.parametrize(("names", "private"), [(PRIVATE_NAMES, True), (PUBLIC_NAMES, False)])
def test_a_name_looks_private_or_not(names: tuple[str, ...], private: bool) -> None:
    """By its end, as a whole label, or by having no dot."""
    assert [(name, private) for name in names] == [(name, is_private_name(name)) for name in names]


@given(st.ip_addresses())
def test_what_no_public_name_may_lead_to_is_what_is_not_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Whatever Python calls not global, multicast or link-local is refused under a public name."""
    refused = why_refused("pay.example.com", str(address)) is not None
    bad = not address.is_global or address.is_multicast or address.is_link_local
    embedded = isinstance(address, ipaddress.IPv6Address) and address.sixtofour is not None
    assert refused or not bad or embedded


@pytest.mark.parametrize(
    ("host", "pattern", "does"),
    [
        ("API.paypal.com.", "*.paypal.com", True),
        ("paypal.com", "*.paypal.com", False),
        ("evilpaypal.com", "*.paypal.com", False),
        ("paypal.com", "paypal.com", True),
    ],
)
def test_a_name_fits_a_pattern(host: str, pattern: str, does: bool) -> None:
    """`*.` stands for at least one label."""
    assert does is fits(host, pattern)
