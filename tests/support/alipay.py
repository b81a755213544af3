"""Alipay's sandbox as the worker knows it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from gateway_mock.alipay_keys import Sandbox, make_sandbox
from payonce.settings.kinds.alipay import AlipayCredentials


@cache
def _made() -> Sandbox:
    return make_sandbox()


@cache
def strangers() -> Sandbox:
    """Return the keys of somebody else."""
    return make_sandbox()


def sandbox() -> Sandbox:
    """Return a sandbox; the keys that it begins with are the same ones in all tests."""
    return replace(_made())


def credentials_for(made: Sandbox, **changed: Any) -> AlipayCredentials:
    """Return the credentials of a sandbox's app; `changed`: what differs."""
    values = {
        "app_id": made.app_id,
        "seller_id": made.seller_id,
        "private_key": made.app,
        "public_keys": (made.alipay.public_key(),),
        "callbacks_for": timedelta(minutes=5),
        **changed,
    }
    return AlipayCredentials(**values)


def variables_for(made: Sandbox) -> Mapping[str, str]:
    """Return the variables of a worker's gateway, without its address."""
    return {
        "KIND": "alipay",
        "APP_ID": made.app_id,
        "SELLER_ID": made.seller_id,
        "PRIVATE_KEY": made.app_pem,
        "PUBLIC_KEY": made.alipay_pem,
    }
