"""WeChat Pay's sandbox as the worker knows it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway_mock.wechatpay_keys import PlatformKey, Sandbox, make_sandbox
from payonce.settings.kinds.wechatpay import WechatPayCredentials
from payonce.settings.secret import Secret


@cache
def _made() -> Sandbox:
    return make_sandbox()


def sandbox() -> Sandbox:
    """Return a sandbox; the keys that it begins with are the same ones in all tests."""
    return replace(_made(), certificates=list(_made().certificates))


@cache
def other_certificate() -> PlatformKey:
    """Return a certificate of a platform that nobody knows."""
    return make_sandbox().certificates[0]


def credentials_for(
    made: Sandbox, known: Iterable[PlatformKey] | None = None
) -> WechatPayCredentials:
    """Return the credentials of a sandbox's merchant; `known`: keys of the platform, else all."""
    listed = [*made.certificates, made.public_key] if known is None else known
    return WechatPayCredentials(
        mchid=made.mchid,
        appid=made.appid,
        serial=made.serial,
        private_key=made.merchant,
        api_v3_keys=(Secret(made.api_v3_key),),
        public_keys={one.number: _public(one) for one in listed},
    )


def environment_for(made: Sandbox, name: str = "MOCK") -> dict[str, str]:
    """Return the variables of a worker whose gateway `name` is the sandbox."""
    keys = {one.number: one.pem for one in (*made.certificates, made.public_key)}
    values = {
        "KIND": "wechatpay",
        "MCHID": made.mchid,
        "APPID": made.appid,
        "SERIAL": made.serial,
        "PRIVATE_KEY": made.merchant_pem,
        "API_V3_KEY": made.api_v3_key,
        "PUBLIC_KEYS": json.dumps(keys),
    }
    return {f"PAYONCE_GATEWAYS__{name}__{key}": value for key, value in values.items()}


def _public(key: PlatformKey) -> RSAPublicKey:
    if not key.is_certificate:
        return key.private.public_key()
    found = x509.load_pem_x509_certificate(key.pem.encode()).public_key()
    assert isinstance(found, RSAPublicKey)
    return found
