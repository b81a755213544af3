"""RSA2, held against signatures that OpenSSL made (tests/vectors/alipay)."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from payonce.domain.errors import BadCallback
from payonce.gateways.alipay_signature import (
    check_form,
    open_answer,
    read_form,
    time_of,
    to_sign,
    written,
)
from payonce.gateways.http_words import Nonsense
from payonce.gateways.rsa import is_signed, sign
from payonce.ports.gateway import NewCharge
from tests.gateways.alipay_rigs import CHARGE_SOON, facing, saying
from tests.support.alipay import strangers

VECTORS = Path(__file__).resolve().parents[1] / "vectors/alipay"
ANSWER = "alipay_trade_precreate_response"


def text(name: str) -> bytes:
    """Return a file of the vectors."""
    return (VECTORS / name).read_bytes()


def signature(name: str) -> str:
    """Return what OpenSSL signed."""
    return text(f"{name}.sig").decode().strip()


def private_key() -> RSAPrivateKey:
    """Return the key of the vectors."""
    key = load_pem_private_key(text("key.pem"), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def public_key() -> RSAPublicKey:
    """Return its other half."""
    key = load_pem_public_key(text("public.pem"))
    assert isinstance(key, RSAPublicKey)
    return key


OTHER = strangers().alipay.public_key()


def answer_with(content: bytes, name: str = ANSWER, signed_as: str = "answer") -> bytes:
    """Return an answer around `content`, with OpenSSL's signature of the vector."""
    return f'{{"{name}":'.encode() + content + f',"sign":"{signature(signed_as)}"}}'.encode()


@pytest.mark.parametrize("name", ["request", "answer", "callback"])
def test_we_sign_and_believe_what_openssl_does(name: str) -> None:
    """The same bytes; one byte more or another key is not believed."""
    content = text(f"{name}.txt")
    assert signature(name) == sign(private_key(), content)
    assert is_signed(public_key(), content, signature(name))
    assert not is_signed(public_key(), content + b" ", signature(name))
    assert not is_signed(OTHER, content, signature(name))


async def test_a_request_is_signed_as_the_rule_says() -> None:
    """Its parameters, sorted by hand and signed by OpenSSL; biz_content byte by byte."""
    vector = {"private_key": private_key(), "app_id": "2021000000000001"}
    charge = _for_vector()
    async with facing(saying(), seller_id="2088000000000001", **vector) as (gateway, requests):
        await gateway.create(charge)
    (request,) = requests
    address = request.line.split(" ")[1].partition("?")[2]
    parameters = dict(parse_qsl(address)) | dict(parse_qsl(request.body.decode()))
    assert "application/x-www-form-urlencoded; charset=utf-8" == request.headers["content-type"]
    assert signature("request") == parameters.pop("sign")
    assert text("request.txt") == to_sign(parameters)


def _for_vector() -> NewCharge:
    place = "https://shop.example/v1/webhooks/alipay"
    return replace(CHARGE_SOON, payment_id="p_1", notify_url=place)


def test_what_is_empty_is_not_signed_and_sign_type_is() -> None:
    """The rule for requests (opendocs.alipay.com, page "sign")."""
    assert b"a=1&sign_type=RSA2" == to_sign({"sign_type": "RSA2", "b": "", "a": "1", "sign": "x"})


def test_an_answer_is_checked_as_it_stands() -> None:
    """Its escapes and its spaces count: nothing is written anew."""
    content = text("answer.txt")
    assert content == open_answer(answer_with(content), ANSWER, [OTHER, public_key()])
    assert content == open_answer(answer_with(content, "error_response"), ANSWER, [public_key()])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (answer_with(text("answer.txt").replace(b"\\/", b"/")), "is not signed by Alipay's key"),
        (answer_with(text("answer.txt").replace(b" :", b":")), "is not signed by Alipay's key"),
        (answer_with(text("answer.txt"), signed_as="request"), "is not signed by Alipay's key"),
        (answer_with(text("answer.txt"), "x"), f"nonsense: {ANSWER} is missing"),
        (
            b'{"%s": {"code": "40002"}}' % ANSWER.encode(),
            'is not signed: {"code": "40002"}',
        ),
        (b'{"%s": {}, "sign": ""}' % ANSWER.encode(), "is not signed: {}"),
        (b'{"%s": {}, "sign": 7}' % ANSWER.encode(), "is not signed: {}"),
        (b'{"%s": {}, "sign": "\xff"}' % ANSWER.encode(), "is not signed: {}"),
        (b'{"%s": {}, "sign": "!"}' % ANSWER.encode(), "is not signed by Alipay's key"),
        (b"[]", "nonsense: Expected `object`, got `array`"),
    ],
)
def test_an_answer_that_is_not_proven_is_no_word(body: bytes, problem: str) -> None:
    """Whatever it says."""
    assert Nonsense(problem) == open_answer(body, ANSWER, [public_key()])


def callback_fields() -> dict[str, str]:
    """Return the fields of the vector, and the signature that goes with them."""
    fields = dict(one.split("=", 1) for one in text("callback.txt").decode().split("&"))
    return {**fields, "sign": signature("callback"), "sign_type": "RSA2"}


def test_a_callback_is_checked_decoded_once() -> None:
    """Also in another order of its fields, and by any of several keys."""
    fields = callback_fields()
    for one in (fields, dict(reversed(fields.items()))):
        check_form(read_form(urlencode(one).encode()), [OTHER, public_key()])


@pytest.mark.parametrize(
    "changed",
    [
        {"total_amount": "0.01"},
        {"body": "%E5%A4%A7"},
        {"more": "x"},
        {"sign": ""},
        {"sign": "QUJD"},
        {"sign_type": "RSA"},
        {"sign_type": ""},
    ],
)
def test_a_callback_with_another_byte_is_refused(changed: dict[str, str]) -> None:
    """And one that is signed in another way."""
    body = urlencode({**callback_fields(), **changed}).encode()
    with pytest.raises(BadCallback, match="bad-signature"):
        check_form(read_form(body), [public_key()])


@pytest.mark.parametrize(
    ("kept", "blank"), [(False, False), (False, True), (True, False), (True, True)]
)
def test_kinds_of_callbacks_differ_in_what_they_sign(kept: bool, blank: bool) -> None:
    """With sign_type or without, with what is empty or without."""
    fields = {"a": "1", "empty": "", "sign_type": "RSA2"}
    names = [name for name, value in fields.items() if value or blank]
    names = [name for name in names if name != "sign_type" or kept]
    content = "&".join(f"{name}={fields[name]}" for name in sorted(names)).encode()
    check_form({**fields, "sign": sign(private_key(), content)}, [public_key()])


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"a", b"\xff=1", b"a=%FF", b"&".join([b"a=1"] * 101), b"a=1;b"]
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """Nothing that a stranger posts raises anything else."""
    with pytest.raises(BadCallback):
        check_form(read_form(body), [public_key()])


def test_times_are_china_s() -> None:
    """Eight hours ahead, without an offset."""
    time = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)
    assert "2026-02-01 02:30:00" == written(time)
    assert time == time_of("2026-02-01 02:30:00")
    for text_ in ("", "2026-02-30 02:30:00", "2026-02-01T02:30:00", "0001-01-01 00:00:00"):
        assert time_of(text_) is None
