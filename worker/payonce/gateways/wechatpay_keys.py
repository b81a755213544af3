"""WeChat Pay's keys: we sign what we ask, it signs what it says, and what it tells is sealed.

Signatures are RSA-SHA256 over lines that each end in a line break: of a request its method, path
with query, time, nonce and body; of an answer or a callback its time, nonce and body. Sealed is
what stands in AEAD_AES_256_GCM under the merchant's APIv3 key
(pay.weixin.qq.com/doc/v3/merchant: pages on signing, on verifying, on decrypting).
"""

import asyncio
import base64
import binascii
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payonce.domain.errors import BadCallback, InvalidField
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode
from payonce.gateways.rsa import is_signed, sign
from payonce.settings.kinds.wechatpay import PUBLIC_KEY_ID, WechatPayCredentials

log = structlog.get_logger(__name__)

SERIAL, SIGNATURE = "wechatpay-serial", "wechatpay-signature"
TIMESTAMP, NONCE = "wechatpay-timestamp", "wechatpay-nonce"
SIGNED_HEADERS = (SERIAL, SIGNATURE, TIMESTAMP, NONCE)
PROBE = "WECHATPAY/SIGNTEST/"
"""How signatures begin by which WeChat Pay tries whether they are checked: it wants a refusal."""

TOLERANCE_S = 300
REFRESH_AFTER_S = 60.0
"""How long certificates are not fetched again: a stranger may name any serial."""

_SCHEME = "WECHATPAY2-SHA256-RSA2048"
_ALGORITHM = "AEAD_AES_256_GCM"
_SHAPES = {
    SERIAL: re.compile(r"[0-9A-Za-z_]{1,80}"),
    SIGNATURE: re.compile(r"[!-~]{1,2048}"),
    TIMESTAMP: re.compile(r"[0-9]{1,12}"),
    NONCE: re.compile(r"[!-~]{1,256}"),
}


class Sealed(msgspec.Struct):
    """What only the holder of the APIv3 key reads."""

    ciphertext: str
    nonce: str
    associated_data: str = ""
    algorithm: str = _ALGORITHM
    original_type: str = ""


class _Certificate(msgspec.Struct):
    serial_no: str
    encrypt_certificate: Sealed


class _Certificates(msgspec.Struct):
    data: list[_Certificate]


_certificates = msgspec.json.Decoder(_Certificates)


@dataclass(frozen=True, slots=True)
class Mark:
    """What proves that an answer or a callback is WeChat Pay's."""

    serial: str
    signature: str
    timestamp: str
    nonce: str

    def is_by(self, key: RSAPublicKey, body: bytes) -> bool:
        """Say whether the holder of `key` signed `body`."""
        message = b"%b\n%b\n%b\n" % (self.timestamp.encode(), self.nonce.encode(), body)
        return is_signed(key, message, self.signature)

    def check_age(self, now_s: float) -> None:
        """Raise BadCallback unless it is at most 5 minutes old, or ahead."""
        age_s = int(now_s) - int(self.timestamp)
        if age_s > TOLERANCE_S:
            raise BadCallback("stale", f"{TIMESTAMP} is {age_s} s old; allowed: {TOLERANCE_S}")
        if age_s < -TOLERANCE_S:
            raise BadCallback("early", f"{TIMESTAMP} is {-age_s} s ahead; allowed: {TOLERANCE_S}")


def mark_of(headers: Mapping[str, str]) -> Mark:
    """Return the mark that headers with lower-case names hold. Raises BadCallback."""
    for name, shape in _SHAPES.items():
        value = headers.get(name, "")
        if shape.fullmatch(value) is None:
            problem = "is not usable" if value else "is missing"
            raise BadCallback("bad-signature", f"{name} {problem}")
    if headers[SIGNATURE].startswith(PROBE):
        raise BadCallback("bad-signature", "a probe, which WeChat Pay wants to see refused")
    return Mark(headers[SERIAL], headers[SIGNATURE], headers[TIMESTAMP], headers[NONCE])


class Signer:
    """Signs requests as the merchant."""

    def __init__(self, credentials: WechatPayCredentials, clock: Callable[[], float]) -> None:
        self._mchid = credentials.mchid
        self._serial = credentials.serial
        self._key: RSAPrivateKey = credentials.private_key
        self._clock = clock

    def authorization(self, method: str, path: str, body: bytes) -> str:
        """Return the header of a request; `path` with its query, as it is sent."""
        timestamp, nonce = str(int(self._clock())), secrets.token_hex(16).upper()
        lines = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode()
        signature = sign(self._key, lines + body + b"\n")
        return (
            f'{_SCHEME} mchid="{self._mchid}",nonce_str="{nonce}",signature="{signature}",'
            f'timestamp="{timestamp}",serial_no="{self._serial}"'
        )


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The key of a certificate that was handed out, and when that ends, in seconds since 1970."""

    key: RSAPublicKey
    until_s: float


class Keyring:
    """WeChat Pay's public keys: those of the configuration, and the certificates it hands out.

    `fetch` asks for the certificates (GET /v3/certificates). Nothing of them is believed but what
    is sealed with the APIv3 key, and then signed by a key that is known or came along. What has run
    out proves nothing any more: its key may be anybody's by then.
    """

    def __init__(
        self,
        credentials: WechatPayCredentials,
        fetch: Callable[[], Awaitable[Answer | NoAnswer]],
        clock: Callable[[], float],
    ) -> None:
        self._configured = dict(credentials.public_keys)
        self._api_v3_keys = tuple(one.reveal().encode() for one in credentials.api_v3_keys)
        self._fetched: dict[str, _Fetched] = {}
        self._fetch = fetch
        self._clock = clock
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    @property
    def preferred(self) -> str | None:
        """The public key that WeChat Pay is asked to sign its answers with, if there is one.

        While a merchant changes over from certificates, answers follow this wish and callbacks
        do not (developers.weixin.qq.com/community, answers of WeChat Pay's support).
        """
        return next((one for one in self._configured if one.startswith(PUBLIC_KEY_ID)), None)

    async def find(self, serial: str) -> RSAPublicKey | None:
        """Return the key of a serial, fetching certificates where it is new; None: unknown."""
        key = self._known(serial)
        if key is not None:
            return key
        async with self._asking:
            if self._known(serial) is None and self._may_ask():
                self._asked_at = self._clock()
                self._learn(await self._fetch())
        return self._known(serial)

    def open(self, sealed: Sealed) -> bytes:
        """Return what is sealed. Raises InvalidField."""
        if sealed.algorithm != _ALGORITHM:
            problem = f"{sealed.algorithm[:40]!r} is unknown"
            raise InvalidField("resource.algorithm", problem, _ALGORITHM)
        for key in self._api_v3_keys:
            found = unseal(key, sealed)
            if found is not None:
                return found
        allowed = "what gateways.NAME.api_v3_key opens"
        raise InvalidField("resource.ciphertext", "cannot be opened", allowed)

    def _known(self, serial: str) -> RSAPublicKey | None:
        number = _number(serial)
        return self._configured.get(number) or self._in_force(self._fetched).get(number)

    def _in_force(self, fetched: Mapping[str, _Fetched]) -> dict[str, RSAPublicKey]:
        """Return the keys of certificates that have not run out."""
        now_s = self._clock()
        return {number: one.key for number, one in fetched.items() if now_s <= one.until_s}

    def _may_ask(self) -> bool:
        since_s = REFRESH_AFTER_S if self._asked_at is None else self._clock() - self._asked_at
        return not 0 <= since_s < REFRESH_AFTER_S

    def _learn(self, answer: Answer | NoAnswer) -> None:
        """Take certificates over from an answer that is proven."""
        problem = _refusal(answer)
        if isinstance(answer, Answer) and not problem:
            found = decode(_certificates, answer.body)
            if isinstance(found, Nonsense):
                problem = found.problem
            else:
                fresh = dict(self._certified(found.data))
                in_force = self._in_force(self._fetched | fresh)
                if _is_signed_by(self._configured | in_force, answer):
                    self._fetched = fresh
                    log.info("certificates.fetched", serials=sorted(fresh))
                    return
                problem = "the answer's signature does not hold"
        log.warning("certificates.not_fetched", reason=problem)

    def _certified(self, listed: Iterable[_Certificate]) -> Iterable[tuple[str, _Fetched]]:
        for one in listed:
            try:
                certificate = x509.load_pem_x509_certificate(self.open(one.encrypt_certificate))
                key, number = certificate.public_key(), f"{certificate.serial_number:X}"
            except (InvalidField, ValueError, UnsupportedAlgorithm):
                continue
            if isinstance(key, RSAPublicKey) and number == _number(one.serial_no):
                yield number, _Fetched(key, certificate.not_valid_after_utc.timestamp())


def unseal(key: bytes, sealed: Sealed) -> bytes | None:
    """Return what is sealed under this key; None: it is not, or was tampered with."""
    try:
        ciphertext = base64.b64decode(sealed.ciphertext, validate=True)
        return AESGCM(key).decrypt(
            sealed.nonce.encode(), ciphertext, sealed.associated_data.encode()
        )
    except (InvalidTag, binascii.Error, ValueError):
        return None


def _number(serial: str) -> str:
    return serial.upper().lstrip("0")


def _refusal(answer: Answer | NoAnswer) -> str:
    if isinstance(answer, NoAnswer):
        return answer.problem
    return "" if answer.status == 200 else f"http-{answer.status}"


def _is_signed_by(keys: Mapping[str, RSAPublicKey], answer: Answer) -> bool:
    try:
        mark = mark_of(lowered(answer.headers))
    except BadCallback:
        return False
    key = keys.get(_number(mark.serial))
    return key is not None and mark.is_by(key, answer.body)


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that sign, with lower-case names."""
    given = {name.lower(): value for name, value in headers.items()}
    return {name: given[name] for name in SIGNED_HEADERS if name in given}
