"""Callbacks of PayPal: what is proven, and by which certificate."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from yarl import URL

from gateway_mock.app import serving
from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import Keys, make_authority, make_cert, new_key, pem_of, sign
from payonce.domain.errors import BadCallback, Unavailable
from payonce.gateways import paypal_certs, rsa
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.paypal_certs import Certificates
from payonce.gateways.paypal_webhooks import HEADERS, Webhooks, signed_message
from payonce.gateways.paypal_words import pack
from payonce.ports.gateway import ChargeWord, RefundWord
from tests.gateways.paypal_rigs import open_paypal
from tests.gateways.rigs import NEW_CHARGE
from tests.support.paypal import KEYS

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
AT = NOW.timestamp()
DAY = timedelta(days=1)
AUTHORITY = make_authority(NOW)
KEY = new_key()
CERT = make_cert(AUTHORITY, KEY, NOW - DAY, NOW + DAY)
WEBHOOK = "8MOCK1234567"
URL_OF_CERT = "https://api.paypal.com/v1/notifications/certs/CERT-1"
EVENT = {
    "id": "WH-1",
    "event_type": "PAYMENT.CAPTURE.COMPLETED",
    "resource": {"id": "3C1", "custom_id": "p-1"},
}
BODY = json.dumps(EVENT).encode()


@dataclass
class Place:
    """Where certificates come from, and how often they were fetched."""

    answer: Answer | NoAnswer
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, url: URL) -> Answer | NoAnswer:
        """Return what is there."""
        self.fetched.append(str(url))
        return self.answer


def place_of(*certs: x509.Certificate) -> Place:
    """Return a place that has a chain."""
    return Place(Answer(200, b"".join(pem_of(one) for one in certs)))


def webhooks(
    place: Place | None = None, *, hosts: tuple[str, ...] = ("*.paypal.com",), **changed: Any
) -> Webhooks:
    """Return what checks callbacks, trusting AUTHORITY alone."""
    roots = changed.pop("roots", (AUTHORITY.cert,))
    certificates = Certificates(hosts, roots, (place or place_of(CERT)).fetch)
    values = {"webhook_ids": (WEBHOOK,), "valid_for": timedelta(minutes=5), **changed}
    return Webhooks(certificates, **values)


def headers(body: bytes = BODY, at: float = AT, url: str = URL_OF_CERT) -> dict[str, str]:
    """Return the headers of a callback that is in order."""
    return sign(Keys(KEY, b"", ""), WEBHOOK, url, body, at)


async def check(given: dict[str, str], body: bytes = BODY, now: datetime = NOW, **to: Any) -> str:
    """Return the id of a callback."""
    return (await webhooks(**to).check(given, body, now)).event_id


async def refused(given: dict[str, str], body: bytes = BODY, **to: Any) -> BadCallback:
    """Return why a callback was refused."""
    with pytest.raises(BadCallback) as caught:
        await check(given, body, **to)
    return caught.value


def test_the_signed_message_is_that_of_paypal_s_own_example() -> None:
    """From the examples of PayPal's own SDK for Ruby: id, time, webhook, CRC-32 as a decimal."""
    resource = "https://api.sandbox.paypal.com/v1/payments"
    event = "https://api.sandbox.paypal.com/v1/notifications/webhooks-events/"
    event += "WH-0G2756385H040842W-5Y612302CV158622M"
    body = (
        '{"id":"WH-0G2756385H040842W-5Y612302CV158622M","create_time":"2015-05-18T15:45:13Z",'
        '"resource_type":"sale","event_type":"PAYMENT.SALE.COMPLETED","summary":"Payment completed'
        ' for $ 20.0 USD","resource":{"id":"4EU7004268015634R","create_time":'
        '"2015-05-18T15:44:02Z","update_time":"2015-05-18T15:44:21Z","amount":{"total":"20.00",'
        '"currency":"USD"},"payment_mode":"INSTANT_TRANSFER","state":"completed",'
        '"protection_eligibility":"ELIGIBLE","protection_eligibility_type":'
        '"ITEM_NOT_RECEIVED_ELIGIBLE,UNAUTHORIZED_PAYMENT_ELIGIBLE","parent_payment":'
        '"PAY-86C81811X5228590KKVNARQQ","transaction_fee":{"value":"0.88","currency":"USD"},'
        f'"links":[{{"href":"{resource}/sale/4EU7004268015634R","rel":"self","method":"GET"}},'
        f'{{"href":"{resource}/sale/4EU7004268015634R/refund","rel":"refund","method":"POST"}},'
        f'{{"href":"{resource}/payment/PAY-86C81811X5228590KKVNARQQ","rel":"parent_payment",'
        f'"method":"GET"}}]}},"links":[{{"href":"{event}","rel":"self","method":"GET"}},'
        f'{{"href":"{event}/resend","rel":"resend","method":"POST"}}]}}'
    )
    transmission_id = "dfb3be50-fd74-11e4-8bf3-77339302725b"
    message = signed_message(
        transmission_id, "2015-05-18T15:45:13Z", "4JH86294D6297924G", body.encode()
    )
    expected = f"{transmission_id}|2015-05-18T15:45:13Z|4JH86294D6297924G|2771810304"
    assert expected.encode() == message


async def test_a_callback_in_order_is_taken() -> None:
    """With the event's id, whatever the case of the headers' names."""
    assert "WH-1" == await check(headers())
    assert "WH-1" == await check({name.title(): one for name, one in headers().items()})


async def test_the_headers_that_prove_it_are_kept() -> None:
    """And no others."""
    checked = await webhooks().check(headers() | {"Cookie": "x"}, BODY, NOW)
    assert set(HEADERS) == set(checked.headers)


async def test_an_event_without_an_id_goes_by_its_transmission() -> None:
    """It is told apart all the same."""
    given = headers(b"{}")
    assert given["PAYPAL-TRANSMISSION-ID"] == await check(given, b"{}")


async def test_any_of_our_webhooks_will_do() -> None:
    """While one is replaced by another."""
    assert "WH-1" == await check(headers(), webhook_ids=("NEW1", WEBHOOK))
    assert "bad-signature" == (await refused(headers(), webhook_ids=("NEW1",))).code


@pytest.mark.parametrize("name", HEADERS)
async def test_every_header_counts(name: str) -> None:
    """Missing, or with a letter changed."""
    given = {key.lower(): one for key, one in headers().items()}
    missing = {key: one for key, one in given.items() if key != name}
    assert "bad-signature" == (await refused(missing)).code
    for other in ("", "A|B", given[name] + "\n", "é", "X" * 5_000):
        assert "bad-signature" == (await refused(given | {name: other})).code


async def test_a_changed_body_is_refused() -> None:
    """One byte more."""
    assert "bad-signature" == (await refused(headers(), BODY + b" ")).code


async def test_another_s_signature_is_refused() -> None:
    """Made with a key that the certificate does not hold."""
    given = sign(Keys(new_key(), b"", ""), WEBHOOK, URL_OF_CERT, BODY, AT)
    assert "bad-signature" == (await refused(given)).code


@pytest.mark.parametrize(("age_s", "code"), [(301, "stale"), (-301, "early")])
async def test_what_is_not_of_now_is_refused(age_s: int, code: str) -> None:
    """By the clock that is given; a second less, and it is taken."""
    assert code == (await refused(headers(at=AT - age_s))).code
    assert "WH-1" == await check(headers(at=AT - age_s + (1 if age_s > 0 else -1)))


async def test_only_what_is_well_signed_is_called_stale() -> None:
    """So that the metric tells of recordings and of wrong clocks."""
    assert "bad-signature" == (await refused(headers(at=AT - 301), BODY + b" ")).code


@pytest.mark.parametrize("time", ["2026-03-01", "yesterday", "2026-03-01T08:00:00", "T" * 20])
async def test_what_is_no_time_is_refused(time: str) -> None:
    """Though it may be well signed."""
    given = headers()
    message = signed_message(given["PAYPAL-TRANSMISSION-ID"], time, WEBHOOK, BODY)
    signed = {"PAYPAL-TRANSMISSION-TIME": time, "PAYPAL-TRANSMISSION-SIG": rsa.sign(KEY, message)}
    assert "bad-signature" == (await refused(given | signed)).code


async def test_callbacks_may_be_taken_for_longer() -> None:
    """Where PayPal's repeats should turn out to keep their first time."""
    two_days = timedelta(days=2)
    late = headers(at=AT - 86_400)
    assert "WH-1" == await check(late, valid_for=two_days)
    assert "stale" == (await refused(headers(at=AT - 172_801), valid_for=two_days)).code


async def test_a_certificate_is_fetched_once() -> None:
    """It is kept; its dates are looked at each time, by the clock that is given."""
    place = place_of(CERT)
    checker = webhooks(place)
    for _ in range(3):
        await checker.check(headers(), BODY, NOW)
    assert 1 == len(place.fetched)
    tomorrow = NOW + 2 * DAY
    with pytest.raises(BadCallback):
        await checker.check(headers(at=tomorrow.timestamp()), BODY, tomorrow)


async def test_so_many_certificates_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was used longest ago goes first."""
    monkeypatch.setattr(paypal_certs, "KEPT", 2)
    place = place_of(CERT)
    checker = webhooks(place)
    for name in ("A", "B", "A", "C", "A", "B"):
        await checker.check(headers(url=f"{URL_OF_CERT}{name}"), BODY, NOW)
    assert ["A", "B", "C", "B"] == [one[-1] for one in place.fetched]


async def test_strangers_cannot_have_us_call_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many fetches a minute; who is in order comes again."""
    monkeypatch.setattr(paypal_certs, "FETCHES_PER_MINUTE", 2)
    place = Place(Answer(404, b""))
    checker = webhooks(place)
    for name in ("A", "B"):
        with pytest.raises(BadCallback):
            await checker.check(headers(url=f"{URL_OF_CERT}{name}"), BODY, NOW)
    with pytest.raises(Unavailable):
        await checker.check(headers(), BODY, NOW)
    place.answer = place_of(CERT).answer
    later = NOW + timedelta(minutes=1)
    assert await checker.check(headers(at=later.timestamp()), BODY, later)


@pytest.mark.parametrize(
    "answer", [NoAnswer("timed out", sent=True), Answer(500, b""), Answer(302, b"")]
)
async def test_a_certificate_that_cannot_be_had_now_is_asked_for_again(
    answer: Answer | NoAnswer,
) -> None:
    """The callback is neither taken nor refused."""
    with pytest.raises(Unavailable):
        await check(headers(), place=Place(answer))


@pytest.mark.parametrize("answer", [Answer(404, b""), Answer(200, b"?"), Answer(200, b"")])
async def test_what_is_no_certificate_is_refused(answer: Answer) -> None:
    """There is nothing to come again for."""
    assert "bad-signature" == (await refused(headers(), place=Place(answer))).code


OTHER_ROOT = make_authority(NOW, "Other Root")
BETWEEN = make_authority(NOW, "Between", AUTHORITY)
LAST = make_cert(BETWEEN, KEY, NOW - DAY, NOW + DAY)


@pytest.mark.parametrize(
    "cert",
    [
        make_cert(OTHER_ROOT, KEY, NOW - DAY, NOW + DAY),
        make_cert(AUTHORITY, KEY, NOW - 2 * DAY, NOW - DAY),
        make_cert(AUTHORITY, KEY, NOW + DAY, NOW + 2 * DAY),
        make_cert(AUTHORITY, KEY, NOW - DAY, NOW + DAY, "www.paypal.com"),
        make_cert(AUTHORITY, KEY, NOW - DAY, NOW + DAY, "messageverificationcerts.evil.com"),
        make_cert(AUTHORITY, KEY, NOW - DAY, NOW + DAY, "xmessageverificationcerts.paypal.com"),
        AUTHORITY.cert,
    ],
)
async def test_a_certificate_that_is_not_to_be_trusted_is_refused(cert: x509.Certificate) -> None:
    """Another root, not its time, another name, no end of a chain."""
    assert "bad-signature" == (await refused(headers(), place=place_of(cert))).code


async def test_a_chain_without_an_end_is_refused() -> None:
    """Before anything in it is looked at."""
    place = place_of(CERT, *[AUTHORITY.cert] * 8)
    assert "too long" in (await refused(headers(), place=place)).problem


async def test_a_system_without_roots_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway comes again once it has some."""
    monkeypatch.setattr(paypal_certs, "_system_roots", list)
    with pytest.raises(Unavailable):
        await check(headers(), roots=())


async def test_a_refused_certificate_is_not_kept() -> None:
    """What is right the next time is taken."""
    place = place_of(make_cert(OTHER_ROOT, KEY, NOW - DAY, NOW + DAY))
    checker = webhooks(place)
    with pytest.raises(BadCallback):
        await checker.check(headers(), BODY, NOW)
    place.answer = place_of(CERT).answer
    assert await checker.check(headers(), BODY, NOW)


async def test_a_chain_is_followed_to_its_root() -> None:
    """Through what is handed out with the certificate; without that, there is no way up."""
    assert "WH-1" == await check(headers(), place=place_of(LAST, BETWEEN.cert))
    assert "bad-signature" == (await refused(headers(), place=place_of(LAST))).code
    stranger = place_of(LAST, OTHER_ROOT.cert)
    assert "bad-signature" == (await refused(headers(), place=stranger)).code


async def test_a_certificate_in_between_may_be_trusted_by_itself() -> None:
    """Where PayPal should hand out the last one of a chain alone."""
    assert "WH-1" == await check(headers(), place=place_of(LAST), roots=(BETWEEN.cert,))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com.evil.com/CERT-1",
        "https://evilpaypal.com/CERT-1",
        "https://paypal.com/CERT-1",
        "https://.paypal.com/CERT-1",
        "https://api.paypal.com@evil.com/CERT-1",
        "https://user@api.paypal.com/CERT-1",
        "https://api.paypal.com:8443/CERT-1",
        "https://api.paypal.com/CERT-1?next=https://evil.com",
        "https://api.paypal.com/CERT-1#x",
        "https://api.paypal.com/../CERT-1",
        "https://127.0.0.1/CERT-1",
        "http://127.0.0.1:9090/CERT-1",
        "https://[::1]/CERT-1",
        "https://api.paypal.com:port/CERT-1",
        "https://xn--pypal-4ve.com/CERT-1",
    ],
)
async def test_certificates_come_from_allowed_hosts_alone(url: str) -> None:
    """Nothing is fetched from anywhere else."""
    place = place_of(CERT)
    assert "bad-signature" == (await refused(headers(url=url), place=place)).code
    assert [] == place.fetched


async def test_a_mock_on_this_machine_is_allowed_by_name_alone() -> None:
    """Without TLS, and no other port of it."""
    hosts, path = ("http://127.0.0.1:9090",), "/v1/notifications/certs/CERT-1"
    assert "WH-1" == await check(headers(url=hosts[0] + path), hosts=hosts)
    other = headers(url="http://127.0.0.1:9091" + path)
    assert "bad-signature" == (await refused(other, hosts=hosts)).code
    assert "bad-signature" == (await refused(headers(), hosts=hosts)).code


async def test_the_system_s_roots_do_not_trust_a_mock() -> None:
    """Which they are where none are configured."""
    error = await refused(headers(), roots=())
    assert "not to be trusted" in error.problem


async def test_the_mock_s_callbacks_are_taken_over_the_wire() -> None:
    """Fetched, verified, read: of an approval, of a capture, of a refund."""
    mock = PaypalMock(keys=KEYS)
    async with serving(mock) as url, open_paypal(url, mock) as rig:
        created = await rig.gateway.create(NEW_CHARGE)
        charge = mock.books.charges["p-1"]
        charge.script = replace(charge.script, pays_after_s=0.0)
        letters = [mock.charge_letter(charge, mock.clock())]
        mock.take("p-1")
        letters.append(mock.charge_letter(charge, mock.clock()))
        refund, _ = mock.books.refund(
            "rf-1", "p-1", 1999, f"custom:{pack('rf-1', 'p-1')}", mock.clock()
        )
        letters.append(mock.refund_letter(charge, refund))
        now = datetime.now(UTC)
        words = []
        for letter in letters:
            assert letter is not None
            given = letter.headers(int(now.timestamp()))
            checked = await rig.gateway.check_callback(given, letter.content, now)
            words.append(rig.gateway.read_callback(checked.headers, letter.content))
        assert 1 == mock.cert_fetches
        assert 200 == rig.gateway.callback_answer.status
    approved, captured, refunded = words
    for word in (approved, captured):
        assert isinstance(word, ChargeWord)
        assert ("p-1", False) == (word.payment_id, word.authoritative)
        assert created.report.gateway_ref == word.report.gateway_ref
    assert isinstance(refunded, RefundWord)
    assert ("p-1", "rf-1", False) == (
        refunded.payment_id,
        refunded.refund_id,
        refunded.authoritative,
    )
