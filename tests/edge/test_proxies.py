"""Who asks, behind proxies: only what a trusted one says of it counts."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from payonce.edge.auth import Auth
from payonce.edge.problems import Refused
from payonce.edge.proxies import address_of
from payonce.settings import HttpSettings, Secret
from tests.settings.reading import refusal

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


class Transport:
    """A connection from an address."""

    def __init__(self, remote: str) -> None:
        self._remote = remote

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return where the other end is."""
        return (self._remote, 50_000) if name == "peername" else default


def sender(remote: str, *forwarded: str, trusted: tuple[object, ...] = TRUSTED) -> str:
    """Return who is taken for the sender of a request."""
    headers = CIMultiDict([("X-Forwarded-For", one) for one in forwarded])
    request = make_mocked_request("GET", "/", headers, transport=Transport(remote))
    return address_of(request, trusted)  # type: ignore[arg-type] # networks, all of them


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("192.0.2.7:4711",), "192.0.2.7"),
        ("10.0.0.1", ("[2001:db8::7]:4711",), "2001:db8::7"),
        ("::ffff:10.0.0.1", ("::ffff:192.0.2.7",), "192.0.2.7"),
        ("fd00::1", ("192.0.2.7, 10.0.0.2, 10.0.0.3",), "192.0.2.7"),
        ("10.0.0.1", ("192.0.2.7", "10.0.0.2"), "192.0.2.7"),
        ("10.0.0.1", ("10.0.0.9, 10.0.0.2",), "10.0.0.9"),
    ],
)
def test_a_trusted_proxy_names_the_sender(
    remote: str, forwarded: tuple[str, ...], expected: str
) -> None:
    """The right-most address that is none of a trusted proxy."""
    assert expected == sender(remote, *forwarded)


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.7", ("203.0.113.1",), "192.0.2.7"),
        ("192.0.2.7", ("10.0.0.1",), "192.0.2.7"),
        ("10.0.0.1", ("203.0.113.1, 192.0.2.7",), "192.0.2.7"),
        ("10.0.0.1", ("203.0.113.1", "192.0.2.7"), "192.0.2.7"),
        ("10.0.0.1", ("10.0.0.9, 192.0.2.7, 10.0.0.2",), "192.0.2.7"),
        ("10.0.0.1", ("192.0.2.7, unknown",), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.7, ",), "10.0.0.1"),
        ("10.0.0.1", ("\u0661\u0669\u0662.0.2.7",), "10.0.0.1"),
    ],
)
def test_what_a_stranger_says_of_himself_counts_for_nothing(
    remote: str, forwarded: tuple[str, ...], expected: str
) -> None:
    """Neither where he comes directly, nor left of what a proxy has added."""
    assert expected == sender(remote, *forwarded)


def test_by_default_nobody_is_trusted() -> None:
    """Not even this machine."""
    assert "127.0.0.1" == sender("127.0.0.1", "192.0.2.7", trusted=())
    assert () == HttpSettings("", 0, "http://h", Secret(""), {}).trusted_proxies


def try_wrong(auth: Auth, remote: str, forwarded: str) -> int:
    """Give a wrong token and return the answer's status."""
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": forwarded}
    request = make_mocked_request("GET", "/", headers, transport=Transport(remote))
    with pytest.raises(Refused) as caught:
        auth.require_operator(request)
    return caught.value.status


async def key() -> bytes:
    """Return no key."""
    return b""


def test_failures_of_one_do_not_make_others_behind_the_proxy_wait() -> None:
    """And he himself waits, whatever he writes into the header."""
    operators = {"ann": Secret("token-of-ann")}
    auth = Auth(HttpSettings("", 0, "http://h", Secret(""), operators, TRUSTED), key)
    for number in range(5):
        assert 401 == try_wrong(auth, "10.0.0.1", f"203.0.113.{number}, 192.0.2.7")
    assert 429 == try_wrong(auth, "10.0.0.1", "198.51.100.1, 192.0.2.7")
    assert 401 == try_wrong(auth, "10.0.0.1", "192.0.2.8")


def test_without_trust_a_header_frees_nobody_from_waiting() -> None:
    """Another address in every request is the same caller."""
    operators = {"ann": Secret("token-of-ann")}
    auth = Auth(HttpSettings("", 0, "http://h", Secret(""), operators), key)
    for number in range(5):
        assert 401 == try_wrong(auth, "192.0.2.7", f"203.0.113.{number}")
    assert 429 == try_wrong(auth, "192.0.2.7", "203.0.113.99")


@pytest.mark.parametrize(
    "value", ['"10.0.0.0/8"', '["10.0.0.1/8"]', '["proxy"]', '["0.0.0.0/0"]', '["::/0"]', "[10]"]
)
def test_bad_networks_are_refused(tmp_path: Path, value: str) -> None:
    """Names are not looked up, and not everybody is a proxy."""
    assert "http.trusted_proxies" == refusal(tmp_path, HTTP__TRUSTED_PROXIES=value).key
