"""The configuration of a gateway of kind `alipay`: keys in every dress, and what is refused."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from payonce.domain.errors import BadSettings
from payonce.settings import GatewaySettings, load_settings
from payonce.settings.kinds.alipay import AlipayCredentials
from tests.support.alipay import sandbox, strangers, variables_for

VECTORS = Path(__file__).resolve().parents[1] / "vectors/alipay"
EC_KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----"""


def load(tmp_path: Path, **changed: str) -> GatewaySettings:
    """Return the gateway that variables describe; what is empty is left out."""
    path = tmp_path / "payonce.toml"
    path.write_text("", encoding="utf-8")
    told: Mapping[str, str] = {**variables_for(sandbox()), **changed}
    environ = {f"PAYONCE_GATEWAYS__A__{name}": value for name, value in told.items() if value}
    return load_settings(environ, config_path=path).gateways["a"]


def credentials(tmp_path: Path, **changed: str) -> AlipayCredentials:
    """Return its credentials."""
    found = load(tmp_path, **changed).credentials
    assert isinstance(found, AlipayCredentials)
    return found


def problem(tmp_path: Path, **changed: str) -> BadSettings:
    """Return what is said of a bad value: one line."""
    with pytest.raises(BadSettings) as caught:
        load(tmp_path, **changed)
    assert 1 == len(str(caught.value).splitlines())
    return caught.value


def bare(pem: str) -> str:
    """Return a key as Alipay's tool writes it."""
    return "".join(line for line in pem.splitlines() if "-----" not in line)


def vector(name: str) -> str:
    """Return a key of the vectors."""
    return (VECTORS / name).read_text(encoding="utf-8")


def test_four_keys_are_enough(tmp_path: Path) -> None:
    """The rest has defaults from Alipay's limits."""
    settings = load(tmp_path)
    assert ("https://openapi.alipay.com/gateway.do", 0, True, True, timedelta(days=90)) == (
        settings.base_url,
        settings.rate_per_s,
        settings.can_refund,
        settings.can_close,
        settings.refund_key_window,
    )
    assert (timedelta(hours=2), timedelta(hours=2)) == (
        settings.terms.watch_for,
        settings.terms.lateness,
    )


@pytest.mark.parametrize("dress", ["key.pem", "key_pkcs1.pem"])
@pytest.mark.parametrize("lines", ["with", "without", "folded"])
def test_a_private_key_comes_in_each_of_its_dresses(tmp_path: Path, dress: str, lines: str) -> None:
    """PKCS #8 and PKCS #1, as PEM and as base64 alone, also with line ends in it."""
    pem = vector(dress)
    worn = {"with": pem, "without": bare(pem), "folded": f" {bare(pem)[:100]}\n{bare(pem)[100:]}\n"}
    found = credentials(tmp_path, PRIVATE_KEY=worn[lines]).private_key.public_key()
    same = credentials(tmp_path, PRIVATE_KEY=vector("key.pem")).private_key.public_key()
    assert same.public_numbers() == found.public_numbers()


def test_a_key_may_lie_in_a_file(tmp_path: Path) -> None:
    """As each secret may."""
    place = tmp_path / "key"
    place.write_text(f"{bare(vector('key.pem'))}\n", encoding="utf-8")
    found = credentials(tmp_path, PRIVATE_KEY="", PRIVATE_KEY_FILE=str(place))
    assert 2048 == found.private_key.key_size


def test_public_keys_are_one_or_several(tmp_path: Path) -> None:
    """Several while Alipay's is changed, dressed as they like."""
    one, other = sandbox().alipay_pem, strangers().alipay_pem
    assert 1 == len(credentials(tmp_path, PUBLIC_KEY=bare(one)).public_keys)
    both = credentials(tmp_path, PUBLIC_KEY=json.dumps([one, bare(other)])).public_keys
    expected = [made.alipay.public_key().public_numbers() for made in (sandbox(), strangers())]
    assert expected == [key.public_numbers() for key in both]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("PRIVATE_KEY", "", "is missing"),
        ("PRIVATE_KEY", "hunter2!", "is neither PEM nor base64"),
        ("PRIVATE_KEY", "aHVudGVyMg==", "is not a private key in PEM"),
        ("PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nx\n", "is not a private key in PEM"),
        ("PRIVATE_KEY", " ", "is empty"),
        ("PRIVATE_KEY", EC_KEY, "is not an RSA key"),
        ("PUBLIC_KEY", "", "is missing"),
        ("PUBLIC_KEY", "[]", "is empty"),
        ("PUBLIC_KEY", "[7]", "is not PEM"),
        ("PUBLIC_KEY", "aHVudGVyMg==", "is neither a certificate nor a public key"),
        ("APP_ID", "", "is missing"),
        ("APP_ID", "my app", "is not of its shape"),
        ("SELLER_ID", "", "is missing"),
        ("SELLER_ID", "208800000000001", "is not of its shape"),
        ("SELLER_ID", "me@shop.example", "is not of its shape"),
        ("BASE_URL", "openapi.alipay.com", "is not such a URL"),
        ("PRIVATE_KEY2", "x", "is unknown (did you mean gateways.a.private_key?)"),
    ],
)
def test_a_bad_value_is_named_and_not_shown(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    """One line: the key, what is wrong, what is allowed; never the secret."""
    error = problem(tmp_path, **{key: value})
    assert (f"gateways.a.{key.lower()}", said) == (error.key, error.problem)
    assert error.allowed
    assert "ertificate" not in error.allowed
    assert "hunter2" not in str(error)


def test_a_private_key_for_a_public_one_is_refused(tmp_path: Path) -> None:
    """And the other way round."""
    swapped = {"PRIVATE_KEY": sandbox().alipay_pem}
    assert "is not a private key in PEM" == problem(tmp_path, **swapped).problem
    swapped = {"PUBLIC_KEY": bare(sandbox().app_pem)}
    assert "is neither a certificate nor a public key" == problem(tmp_path, **swapped).problem


def test_the_app_s_own_public_key_is_not_alipay_s(tmp_path: Path) -> None:
    """The commonest mistake: Alipay shows both on one page."""
    error = problem(tmp_path, PRIVATE_KEY=vector("key.pem"), PUBLIC_KEY=vector("public.pem"))
    assert ("gateways.a.public_key", "is the app's own public key") == (error.key, error.problem)


def test_a_certificate_is_not_a_public_key(tmp_path: Path) -> None:
    """Alipay gives one for its other mode, whose requests are written otherwise."""
    error = problem(tmp_path, PUBLIC_KEY=vector("certificate.pem"))
    assert ("is a certificate", "the public key itself: this is key mode") == (
        error.problem,
        error.allowed,
    )
